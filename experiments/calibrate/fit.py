"""Fits the numbers of the dynamics to logged runs: first what is expected, then the spread around it."""

import numpy as np
from scipy.optimize import least_squares

from experiments.calibrate.replays import Replay
from splitgym.arrays import Floats
from splitgym.learning.surrogate.parameters import Parameters

RUN_WEIGHT = 3.0
"""Weight of the error of a run's accuracy; that of a client's accuracy has 1."""
RECALL_WEIGHT = 0.3
LOSS_WEIGHT = 0.15
PRIOR_WEIGHT = 0.05
"""Of a number's distance from where the fit begins, in factors of e; holds numbers that the logs say nothing of."""
LARGEST_SPEED = 0.7
"""Standard deviation of the logarithm."""

SHARES = ("client_share", "returning", "ceiling", "kept_by_client")
"""Numbers between 0 and 1; the others are positive."""
SPREADS = ("run_effect", "class_effect", "class_noise", "persistence", "loss_noise")
"""Numbers that what is expected does not depend on."""


def start(classes: int) -> Parameters:
    """Where every fit begins: numbers that suit a small network on digits."""
    return Parameters(
        initial_rate=0.3,
        take_off=1.1,
        server_speed=np.array([0.28, 0.15, 0.22]),
        client_speed=np.array([0.04, 0.14, 0.08]),
        client_share=np.array([0.19, 0.28, 0.79]),
        label_bias_speed=0.06,
        kept_by_server=np.array([0.5, 0.5, 0.6]),
        kept_by_client=0.2,
        kept_by_number=0.26,
        kept_by_evenness=2.0,
        few_client_penalty=1.2,
        skew=0.4,
        confusion=0.23,
        drift=0.25,
        returning=0.2,
        decay=0.005,
        ceiling=0.95,
        sharpness=2.5,
        softness=0.5,
        class_ease=np.ones(classes),
        run_effect=0.0,
        class_effect=0.0,
        class_noise=0.0,
        persistence=0.0,
        loss_noise=0.0,
    )


def fit(replay: Replay, iterations: int) -> Parameters:
    """The numbers with which the dynamics come nearest to the runs, by least squares.

    Args:
        replay: The runs.
        iterations: Most steps of the search.
    """
    begin = start(replay.classes)
    origin = _encode(begin)
    # What is padded, or of clients that did not take part, says nothing and is left out.
    selected, of_clients = replay.selected, np.broadcast_to(replay.there[:, None], replay.client_accuracy.shape)
    weight = RECALL_WEIGHT * np.sqrt(replay.data_share)[:, None, :, None]

    def errors(numbers: Floats) -> Floats:
        played = replay.play(_decode(numbers, begin))
        of_run = RUN_WEIGHT * (replay.mean(played.client_accuracy) - replay.accuracy)
        of_client = (played.client_accuracy - replay.client_accuracy)[of_clients]
        of_class = (weight * (played.recall - replay.recall))[of_clients]
        of_loss = np.exp(-played.client_loss[selected]) - np.exp(-replay.client_loss[selected])
        prior = PRIOR_WEIGHT * (numbers - origin)
        parts = (of_run, of_client, of_class, LOSS_WEIGHT * of_loss, prior)
        return np.nan_to_num(np.concatenate([part.ravel() for part in parts]), nan=1.0)

    found = least_squares(errors, origin, max_nfev=iterations)
    return _decode(found.x, begin)


def spread(expected: Parameters, replay: Replay, twins: tuple[Replay, Replay] | None) -> Parameters:
    """Adds the numbers of chance.

    Their proportions are those in which real runs lie around what is expected of them; in that is also what the model
    does not know. So they are made smaller until two draws of the surrogate are as far apart as two trainings of the
    same run.

    Args:
        expected: What is expected.
        replay: Real runs.
        twins: Real runs that were trained twice; absent: nothing is made smaller.
    """
    around = _around(expected, replay)
    if twins is None:
        return around
    once, again = twins
    apart = np.abs(once.accuracy - again.accuracy).mean()
    factors = np.linspace(0.1, 1.2, 23)
    drawn = [_apart(_scaled(around, factor), once) for factor in factors]
    return _scaled(around, float(np.interp(apart, drawn, factors)))


def _scaled(parameters: Parameters, factor: float) -> Parameters:
    """With more or less chance; that of losses is not touched, as it is that of mini-batches."""
    chance = {name: factor * getattr(parameters, name) for name in ("run_effect", "class_effect", "class_noise")}
    return parameters._replace(**chance)


def _apart(parameters: Parameters, replay: Replay) -> float:
    """Mean difference of two draws."""
    draws = [replay.mean(replay.play(parameters, np.random.default_rng(seed)).client_accuracy) for seed in range(2)]
    return float(np.abs(draws[0] - draws[1]).mean())


def _around(expected: Parameters, replay: Replay) -> Parameters:
    """How real runs lie around what is expected of them."""
    played = replay.play(expected)
    level = played.recall * (1 - played.recall)
    told = (level > 0.09) & replay.there[:, None, :, None]
    logits = np.where(told, (replay.recall - played.recall) / np.maximum(level, 0.09), 0.0)
    weight = told * replay.data_share[:, None, :, None]
    of_class = np.einsum("neck,neck->nek", logits, weight) / np.maximum(weight.sum(axis=2), 1e-9)
    # A class counts where it is told by most of the clients.
    of_class = np.where(weight.sum(axis=2) > 0.5, of_class, np.nan)
    lasting = _mean(of_class, axis=1)[:, None]
    passing = of_class - lasting
    variance = float(_mean(passing**2))
    correlation = float(_mean(passing[:, 1:] * passing[:, :-1])) / max(variance, 1e-9)
    every = int(np.diff(replay.evaluated).mean())
    taught = replay.selected
    noise = np.log(np.maximum(replay.client_loss, 1e-3)) - np.log(np.maximum(played.client_loss, 1e-3))
    return expected._replace(
        run_effect=_run_effect(expected, replay),
        class_effect=float(np.std(lasting)),
        class_noise=float(np.sqrt(variance)),
        persistence=max(correlation, 0.0) ** (1 / every),
        loss_noise=float(np.std(np.diff(np.where(taught, noise, np.nan), axis=1)[taught[:, 1:] & taught[:, :-1]]))
        / np.sqrt(2),
    )


def _mean(values: Floats, axis: int | None = None) -> Floats:
    """Of those values that are there; 0 where none is."""
    there = np.isfinite(values)
    mean: Floats = np.where(there, values, 0.0).sum(axis=axis) / np.maximum(there.sum(axis=axis), 1)
    return mean


def _run_effect(expected: Parameters, replay: Replay) -> float:
    """Spread of the speed with which each run would come nearest to the model, as a logarithm."""
    speeds = np.linspace(-LARGEST_SPEED, LARGEST_SPEED, 15)
    errors = []
    for speed in speeds:
        faster = expected._replace(
            server_speed=expected.server_speed * np.exp(speed),
            client_speed=expected.client_speed * np.exp(speed),
            label_bias_speed=expected.label_bias_speed * np.exp(speed),
        )
        played = replay.mean(replay.play(faster).client_accuracy)
        errors.append(np.abs(played - replay.accuracy).mean(axis=1))
    return float(np.std(speeds[np.argmin(errors, axis=0)]))


def _encode(parameters: Parameters) -> Floats:
    """As numbers without bounds: logarithms, and logits of shares."""
    parts = []
    for name, value in _fitted(parameters):
        number = np.atleast_1d(value)
        parts.append(np.log(number / (1 - number)) if name in SHARES else np.log(number))
    return np.concatenate(parts)


def _decode(numbers: Floats, like: Parameters) -> Parameters:
    """What `_encode` was given."""
    values, begin = {}, 0
    for name, value in _fitted(like):
        part = numbers[begin : begin + np.size(value)]
        begin += len(part)
        decoded = 1 / (1 + np.exp(-part)) if name in SHARES else np.exp(np.minimum(part, 20.0))
        values[name] = decoded if np.ndim(value) else float(decoded[0])
    return like._replace(**values)


def _fitted(parameters: Parameters) -> list[tuple[str, float | Floats]]:
    return [(name, value) for name, value in parameters._asdict().items() if name not in SPREADS]
