"""Statistics of a comparison: interquartile means, and bootstrap intervals stratified by scenario.

After Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice (NeurIPS 2021). A sample is a
list of arrays [..., n], one for each stratum, which here is a scenario; entry i of two samples is the same episode.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from splitgym.arrays import Bools, Floats

Strata = Sequence[Floats]

TRIMMED = 0.25
"""Share that an interquartile mean leaves out at either end."""

RESAMPLES = 2000


class Estimate(NamedTuple):
    """A statistic with its 95 % interval; the interval of a single episode is not a number."""

    value: float
    low: float
    high: float


def half_width(values: Floats) -> Floats:
    """[...] half widths of the 95 % intervals (Student's t) of the means of values [n, ...]; not numbers for n = 1."""
    n = len(values)
    if n == 1:
        return np.full(values.shape[1:], np.nan)
    return stats.t.ppf(0.975, n - 1) * values.std(0, ddof=1) / np.sqrt(n)


class Bootstrap:
    """Percentile intervals; resamples episodes with replacement within each stratum, all samples alike.

    So what is compared on the same seeds stays paired. With few episodes the intervals are too narrow: of those for
    the interquartile mean of normal samples 75 % hold the true mean with 3 episodes, 91 % with 5, 94 % with 10 and
    95 % with 20 or 100.

    Args:
        sizes: Number of episodes in each stratum.
        seed: Of the resampling: the same seed, the same intervals.
    """

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        self._single = max(sizes) < 2
        self._chosen = [
            np.random.default_rng([seed, number]).integers(size, size=(RESAMPLES, size))
            for number, size in enumerate(sizes)
        ]

    def estimate(self, statistic: Callable[..., Floats], *samples: Strata) -> Estimate:
        """The statistic of some samples, with its interval; it takes them with leading axes too, and keeps these."""
        low, high = self.interval(statistic, *samples)
        return Estimate(float(statistic(*samples)), float(low), float(high))

    def interval(self, statistic: Callable[..., Floats], *samples: Strata) -> Floats:
        """[2, ...] low and high ends of the intervals of a statistic, which may have trailing axes of its own."""
        resampled = ([own[chosen] for own, chosen in zip(sample, self._chosen, strict=True)] for sample in samples)
        ends = np.quantile(statistic(*resampled), (0.025, 0.975), axis=0)
        return np.full_like(ends, np.nan) if self._single else ends


def interquartile_mean(sample: Strata) -> Floats:
    """Mean of the middle half of all values of all strata: the least and the greatest quarter are left out."""
    return np.asarray(stats.trim_mean(np.concatenate(sample, axis=-1), TRIMMED, axis=-1))


def is_lower_bound(sample: Strata, missed: Sequence[Bools]) -> bool:
    """Whether the interquartile mean would rise with the values of missed episodes: not all are in the top quarter."""
    values, censored = np.concatenate(sample), np.concatenate(missed)
    top = int(TRIMMED * len(values))
    # Of equal values those of missed episodes are the greater ones.
    order = np.lexsort((censored, values))
    return bool(censored[order[: len(values) - top]].any())


def saving(agent: Strata, baseline: Strata) -> Floats:
    """Share of the baseline's time that the agent saves: 1 - IQM(agent) / IQM(baseline).

    Over several strata times are counted in units of the baseline's interquartile mean in each.
    """
    needed, given = (interquartile_mean(in_units(sample, baseline)) for sample in (agent, baseline))
    return np.asarray(1 - needed / given)


def in_units(sample: Strata, baseline: Strata) -> Strata:
    """The values in units of the baseline's interquartile mean in their stratum."""
    return [own / interquartile_mean([unit])[..., None] for own, unit in zip(sample, baseline, strict=True)]


def headroom_closed(agent: Strata, baseline: Strata, reference: Strata) -> Floats:
    """What the agent saves over what the reference saves; not a number where the reference saves nothing."""
    possible = saving(reference, baseline)
    return np.asarray(saving(agent, baseline) / np.where(possible > 0, possible, np.nan))


def probability_of_improvement(agent: Strata, baseline: Strata) -> Floats:
    """Probability that an episode of the agent takes less time than one of the baseline, ties counted half.

    Over all pairs of episodes within a stratum (Mann and Whitney's U over its maximum); mean over the strata.
    """
    return np.mean([_share_of_pairs(*pair) for pair in zip(agent, baseline, strict=True)], axis=0)


def _share_of_pairs(agent: Floats, baseline: Floats) -> Floats:
    size, opponents = baseline.shape[-1], agent.shape[-1]
    ranks = stats.rankdata(np.concatenate([baseline, agent], axis=-1), axis=-1)[..., :size]
    return np.asarray((ranks.sum(-1) - size * (size + 1) / 2) / (size * opponents))


def difference(agent: Strata, baseline: Strata) -> Floats:
    """Interquartile mean of what the agent saves in an episode, in the unit of the samples."""
    return interquartile_mean([b - a for a, b in zip(agent, baseline, strict=True)])


def ratio(agent: Strata, baseline: Strata) -> Floats:
    """Interquartile mean of the agent's time over the baseline's in the same episode."""
    return interquartile_mean([a / b for a, b in zip(agent, baseline, strict=True)])


def share_faster(agent: Strata, baseline: Strata) -> Floats:
    """Share of the episodes in which the agent takes less time than the baseline, ties counted half."""
    a, b = np.concatenate(agent, axis=-1), np.concatenate(baseline, axis=-1)
    return np.asarray(((a < b) + 0.5 * (a == b)).mean(-1))


def profile(sample: Strata, grid: Floats) -> Floats:
    """[..., G] share of the episodes that took no longer than the times of the grid."""
    times = np.concatenate(sample, axis=-1)
    return np.stack([(times <= time).mean(-1) for time in grid], axis=-1)
