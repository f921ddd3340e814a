"""Ways to decide that differ as widely as schedulers may: which clients take part, the cut layer, phi."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints

Generator = np.random.Generator

PHI_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
LARGE = 16
"""Clients above which numbers of them are drawn log-uniformly: good schedulers take few of many."""


@dataclass(frozen=True)
class Group:
    """The clients of a run, as far as a selection knows them."""

    count: int
    round_s: Floats
    """[C] seconds that each of them needs for a round."""
    class_counts: Ints
    """[C, K] samples of each class that each of them has."""

    def top(self, score: Floats, size: int) -> Bools:
        """[C] the clients of the highest scores."""
        chosen = np.zeros(self.count, bool)
        chosen[np.argsort(-score, kind="stable")[:size]] = True
        return chosen


SPREAD = np.array([0.3, 0.5, 0.5, 0.7, 1.0, 1.0, 1.0])
"""Standard deviations of the weights of an index at random, of what it sees: participation, absence, experience, loss,
diversity, novelty, speed."""
Selection = Callable[[Floats], Bools]
"""Which clients take part, from their losses, [C] to [C]; called once a round."""
Pattern = Callable[[Group, Generator], Selection]


def everybody(group: Group, rng: Generator) -> Selection:
    """All clients in every round."""
    return lambda loss: np.ones(group.count, bool)


def random_k(group: Group, rng: Generator) -> Selection:
    """So many at random."""
    size = _some(group, rng)
    return lambda loss: group.top(rng.random(group.count), size)


def at_random(group: Group, rng: Generator) -> Selection:
    """Each by the toss of a coin, as in the first episodes of a policy; in some rounds nobody."""
    return lambda loss: rng.random(group.count) < 0.5


def changing_k(group: Group, rng: Generator) -> Selection:
    """Another number in every round."""
    return lambda loss: group.top(rng.random(group.count), _some(group, rng))


def fixed_subset(group: Group, rng: Generator) -> Selection:
    """Always the same, so that the others never learn."""
    chosen = group.top(rng.random(group.count), _some(group, rng))
    return lambda loss: chosen


def round_robin(group: Group, rng: Generator) -> Selection:
    """So many, one group after the other."""
    size, slot = _some(group, rng), iter(range(1_000_000))
    return lambda loss: np.isin(np.arange(group.count), (next(slot) * size + np.arange(size)) % group.count)


def uneven(group: Group, rng: Generator) -> Selection:
    """Each as often as it happens to be reached."""
    reached = rng.uniform(0.05, 1.0, group.count)
    return lambda loss: rng.random(group.count) < reached


def bursts(group: Group, rng: Generator) -> Selection:
    """Some for many rounds, then others."""
    chosen = np.zeros(group.count, bool)

    def select(loss: Floats) -> Bools:
        if not chosen.any() or rng.random() < 0.05:
            chosen[:] = group.top(rng.random(group.count), _some(group, rng))
        return chosen.copy()

    return select


def fastest_first(group: Group, rng: Generator) -> Selection:
    """The fastest, and one more as time goes by."""
    size, every, past = _some(group, rng), int(rng.integers(15, 60)), iter(range(1_000_000))
    return lambda loss: group.top(-group.round_s, size + next(past) // every)


def loss_with_chance(group: Group, rng: Generator) -> Selection:
    """Of high loss or at random."""
    size, weight = _some(group, rng), rng.uniform(0.2, 1.5)
    return lambda loss: group.top(loss + weight * rng.standard_normal(group.count), size)


def highest_loss(group: Group, rng: Generator) -> Selection:
    """Those of the highest loss."""
    size = _some(group, rng)
    return lambda loss: group.top(loss, size)


def loss_per_second(group: Group, rng: Generator) -> Selection:
    """Those of the highest loss for the time that they need."""
    size = _some(group, rng)
    return lambda loss: group.top(loss / group.round_s, size)


def unified(group: Group, rng: Generator) -> Selection:
    """As many as give most loss and number for the seconds of the slowest."""
    weight = rng.uniform(0.2, 0.8)

    def select(loss: Floats) -> Bools:
        order = np.argsort(group.round_s)
        utility = np.cumsum(1 - weight + weight * loss[order] / loss.mean()) / (0.3 + group.round_s[order])
        return np.isin(np.arange(group.count), order[: int(utility.argmax()) + 1])

    return select


def by_index(group: Group, rng: Generator) -> Selection:
    """Few, of the highest index: linear in what schedulers see of clients, as rule `index`, with weights at random."""
    class_share = group.class_counts / group.class_counts.sum(1, keepdims=True)
    data_share = group.class_counts.sum(1) / group.class_counts.sum()
    diversity, speed = 1 / (class_share**2).sum(1), -np.log(group.round_s)
    weights = SPREAD * rng.standard_normal(len(SPREAD))
    size = number_between(1, max(2, group.count // 4), rng)
    took_part, absence, experience = np.zeros((3, group.count))

    def select(loss: Floats) -> Bools:
        taught = ((experience + 0.5) * data_share) @ class_share
        novelty = class_share @ (taught.mean() / (taught + 0.05 * taught.mean()))
        seen = (took_part, np.log1p(absence), np.log1p(experience), np.log(loss), diversity, novelty, speed)
        index = sum(
            weight * (each - each.mean()) / max(each.std(), 1e-9) for weight, each in zip(weights, seen, strict=True)
        )
        chosen = group.top(index, size)
        took_part[:] = chosen
        absence[:] = np.where(chosen, 0.0, absence + 1)
        experience[:] += chosen
        return chosen

    return select


def delivered(group: Group, rng: Generator) -> Selection:
    """Asynchronous: always as many as at first, of those in flight that come first."""
    quorum = _quorum(group, rng)
    return _in_flight(group, lambda: quorum)


def delivered_changing_k(group: Group, rng: Generator) -> Selection:
    """Asynchronous: another number for every update."""
    return _in_flight(group, lambda: _quorum(group, rng))


def delivered_of_some(group: Group, rng: Generator) -> Selection:
    """Asynchronous: some clients never start."""
    starting = group.top(rng.random(group.count), max(_some(group, rng), 2))
    quorum = int(rng.integers(1, starting.sum()))
    return _in_flight(replace(group, round_s=np.where(starting, group.round_s, np.inf)), lambda: quorum)


def delivered_in_time(group: Group, rng: Generator) -> Selection:
    """Asynchronous: who has come when the server's patience ends, or else the first."""
    ready_s, patience_s, now = group.round_s.copy(), rng.uniform(0.1, 1.0), [0.0]

    def select(loss: Floats) -> Bools:
        now[0] = max(now[0] + patience_s, ready_s.min())
        come = ready_s <= now[0]
        ready_s[come] = now[0] + group.round_s[come]
        return come

    return select


def _in_flight(group: Group, quorum: Callable[[], int]) -> Selection:
    """So many of those in flight as come first; they start anew at once, see framework async-psl."""
    ready_s = group.round_s.copy()

    def select(loss: Floats) -> Bools:
        first = group.top(-ready_s, quorum())
        ready_s[first] = ready_s[first].max() + group.round_s[first]
        return first

    return select


FITTED = (
    everybody,
    random_k,
    at_random,
    changing_k,
    fixed_subset,
    round_robin,
    uneven,
    bursts,
    fastest_first,
    loss_with_chance,
    by_index,
)
"""Patterns whose runs are fitted to; other seeds of them are held out."""
HELD_OUT = (highest_loss, loss_per_second, unified)
"""Patterns that no fit sees."""
FITTED_IN_FLIGHT, HELD_OUT_IN_FLIGHT = (delivered, delivered_changing_k, delivered_of_some), (delivered_in_time,)
"""The same for asynchronous frameworks."""


def cut_layers(cuts: int, rng: Generator) -> Iterator[int]:
    """One cut layer, some for many rounds each, or another in every round."""
    return _moving(np.arange(1, cuts + 1), rng, constant=0.55, often=0.1)


def steady_cut_layer(cuts: int, rng: Generator) -> int:
    """The first one or, in a third of the runs, another."""
    return 1 if cuts == 1 or rng.random() < 2 / 3 else int(rng.integers(2, cuts + 1))


def aggregation_ratios(rng: Generator) -> Iterator[float]:
    """One phi, some for many rounds each, or another in every round."""
    return _moving(np.array(PHI_LEVELS), rng, constant=0.6, often=0.15)


def _moving(values: NDArray, rng: Generator, constant: float, often: float) -> Iterator[int | float]:
    """Values at random; `constant` and `often`: probability that none follows, and that one follows every round."""
    kind = rng.random()
    change = 0.0 if kind < constant else 1.0 if kind < constant + often else rng.uniform(0.02, 0.1)
    value = rng.choice(values)
    while True:
        yield value.item()
        if rng.random() < change:
            value = rng.choice(values)


def _quorum(group: Group, rng: Generator) -> int:
    """Up to half of the clients."""
    return int(rng.integers(1, group.count // 2 + 1))


def _some(group: Group, rng: Generator) -> int:
    return number_between(1, group.count, rng)


def number_between(fewest: int, most: int, rng: Generator) -> int:
    """Clients of a cell or of a selection, both ends included: uniform, or log-uniform where there may be many."""
    if most <= LARGE:
        return int(rng.integers(fewest, most + 1))
    return min(int(np.exp(rng.uniform(np.log(fewest), np.log(most + 1)))), most)
