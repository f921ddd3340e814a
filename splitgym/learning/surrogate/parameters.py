"""The numbers of the dynamics of learning, which a calibration gives."""

from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Floats

BY_CUT = ("server_speed", "client_speed", "client_share", "kept_by_server")
"""Numbers that differ from cut layer to cut layer; a calibration has them at the first, the middle and the last."""
LEAST_SHARE = 1e-6
"""Of the network's skill, on either side of a cut."""


class Parameters(NamedTuple):
    """Skills and label biases are logits; speeds are in logits a round."""

    initial_rate: float
    """Rate at which an untrained network learns: speeds grow with (initial_rate + mean skill)^take_off."""
    take_off: float
    """Exponent with which it learns the faster, the more it knows."""
    server_speed: Floats
    """Speed of the server's skill."""
    client_speed: Floats
    """Speed of a client's own skill."""
    client_share: Floats
    """Fraction of the network's skill that lies in the client's units."""
    label_bias_speed: float
    """Speed at which a client becomes biased towards the classes that are frequent in its own data."""
    kept_by_server: Floats
    """Fraction of the server's gradient that is left of aggregated rows with very few clients."""
    kept_by_client: float
    """The same of a client's gradient."""
    kept_by_number: float
    """Exponent with which that fraction falls as more clients take part."""
    kept_by_evenness: float
    """Exponent with which that fraction falls as a client's data have fewer classes."""
    few_client_penalty: float
    """How much slower the server learns from few clients: its speed is divided by 1 + this times sum p_i^2, with
    the fractions p_i of the participants in the data."""
    skew: float
    """Exponent with which the server learns the slower, the fewer classes the mini-batches have."""
    confusion: float
    """How much skill a class loses to wrong answers in its favour, as a multiple of what right ones win."""
    drift: float
    """How far a client falls behind the server while that moves one logit on without it, logits."""
    returning: float
    """Fraction of that distance that it makes up for in a round in which it takes part."""
    decay: float
    """Fraction of skill and label biases lost in a round that trains any client."""
    ceiling: float
    """Highest accuracy of a class."""
    sharpness: float
    """Logits of the decision for one class per root of skill."""
    softness: float
    """Skill below which decisions are not as sharp, logits."""
    class_ease: Floats
    """How easily each class is recognised, as a multiple of its skill."""
    run_effect: float
    """Standard deviation, between runs, of the logarithm of all speeds."""
    class_effect: float
    """Standard deviation, between runs, of the logit of a class."""
    class_noise: float
    """Standard deviation, from round to round, of the logit of a class."""
    persistence: float
    """Correlation of that noise from one round to the next."""
    loss_noise: float
    """Standard deviation of the logarithm of a mini-batch's loss."""

    def without_chance(self) -> Self:
        """Of what is expected."""
        return self._replace(run_effect=0.0, class_effect=0.0, class_noise=0.0, loss_noise=0.0)

    def at_cuts(self, cut_layers: int) -> Self:
        """With an array by cut layer (index 0: no client holds a unit) where a calibration has three numbers."""
        place = np.linspace(0.0, 2.0, cut_layers) if cut_layers > 1 else np.zeros(1)
        spread: dict[str, Any] = {
            name: np.concatenate([[0.0], np.interp(place, np.arange(3.0), getattr(self, name))]) for name in BY_CUT
        }
        # No unit has less than nothing of the network's skill, and on both sides of a cut there is some.
        share = np.clip(spread["client_share"][1:], LEAST_SHARE, 1 - LEAST_SHARE)
        spread["client_share"] = np.concatenate([[0.0], np.maximum.accumulate(share)])
        return self._replace(**spread)
