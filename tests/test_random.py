"""Random numbers: the published answers of Philox, statistics that broken generators fail, and streams that stay apart.

Seeds are fixed, so that what passes once passes always; probabilities are those of a perfect generator.
"""

import copy
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from splitgym.random import (
    Purpose,
    Streams,
    fill_log_gammas,
    fill_normals,
    fill_normals_of_worlds,
    fill_uniforms,
    philox,
    room_for,
)

KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
"""Counter, key and answer of `philox4x32 10` in the file `kat_vectors` of Random123."""
LOW = 2**32 - 1


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def plain_philox(counter, key, rounds: int = 10):
    """Philox 4x32 as Salmon et al. (2011) write it; whole numbers, or arrays of uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for number in range(rounds):
        if number:
            k0, k1 = (k0 + 0x9E3779B9) & LOW, (k1 + 0xBB67AE85) & LOW
        left, right = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & LOW, (left >> 32) ^ c3 ^ k1, left & LOW
    return c0, c1, c2, c3


def streams_of(key, number=0) -> Streams:
    key = np.asarray(key, np.uint64)
    return Streams(key, np.full(len(key), number))


def uniforms(streams: Streams, n: int, purpose: int, count: int, attempt: int = 0) -> np.ndarray:
    numbers = np.empty(room_for(count))
    fill_uniforms(streams, n, int(purpose), count, numbers, attempt)
    return numbers[:count]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, answer):
    low, high = words(key)
    whole = np.uint64(low + (high << 32))
    assert list(philox(*map(np.uint64, words(counter)), whole)) == words(answer)
    assert list(plain_philox(words(counter), (low, high))) == words(answer)


def test_philox_is_the_plain_one():
    for counter, key in zip(
        np.random.default_rng(0).integers(2**32, size=(500, 4), dtype=np.uint64),
        np.random.default_rng(1).integers(2**64, size=500, dtype=np.uint64),
        strict=True,
    ):
        expected = plain_philox(counter.tolist(), (int(key) & LOW, int(key) >> 32))
        assert philox(*counter, key) == expected


# Quality -----------------------------------------------------------------------------------------------------------

AXES = {"key": 16, "attempt": 4, "round": 8, "purpose": len(Purpose), "index": 64}
"""Numbers are looked at on a grid of neighbouring places: 458,752 of them."""


def drawn() -> np.ndarray:
    """Words of the package at all places of the grid; keys 0, 1, 2 and so on."""
    keys, attempts, rounds, purposes, count = AXES.values()
    grid = np.empty(tuple(AXES.values()))
    for attempt in range(attempts):
        for number in range(rounds):
            streams = streams_of(np.arange(keys), number)
            for n in range(keys):
                for purpose in range(purposes):
                    fill_uniforms(streams, n, purpose, count, grid[n, attempt, number, purpose], attempt)
    return np.int64(grid * 2**32 - 0.5)


def other(rounds: int = 10, ignored: str | None = None, overlapping: bool = False) -> np.ndarray:
    """Words of generators that do the same well or badly: fewer rounds, an axis without influence, shifted streams."""
    where = dict(zip(AXES, np.indices(tuple(AXES.values())).astype(np.uint64), strict=True))
    block, word = where["index"] // np.uint64(4), np.int64(where["index"] % np.uint64(4))
    if ignored:
        where[ignored] = np.zeros_like(block)
    if overlapping:
        block, where["round"] = block + where["round"], np.zeros_like(block)
    counter = block, where["round"], where["attempt"], where["purpose"]
    four = plain_philox(counter, (where["key"], np.zeros_like(block)), rounds)
    return np.int64(np.choose(word, four))


def chi_square(observed: np.ndarray) -> float:
    """Of cells that are equally probable."""
    return float(stats.chisquare(observed.ravel()).pvalue)


def rare(count: int, mean: float) -> float:
    """Probability that a Poisson number is so far off its mean, on both sides."""
    return min(1.0, 2 * min(stats.poisson.cdf(count, mean), stats.poisson.sf(count - 1, mean)))


def serial(cells: int, *values: np.ndarray) -> float:
    """The serial test: tuples of numbers in [0, 1) fill a grid evenly."""
    place = np.ravel_multi_index([np.int64(own * cells) for own in values], (cells,) * len(values))
    return chi_square(np.bincount(place.ravel(), minlength=cells ** len(values)))


def spacings(birthdays: np.ndarray) -> float:
    """Marsaglia's birthday spacings: equal ones among those of 512 days of a year of 2^24 are Poisson of mean 2."""
    days = np.sort(birthdays[: len(birthdays) // 512 * 512].reshape(-1, 512), axis=1)
    between = np.sort(np.diff(days, axis=1), axis=1)
    return rare(int((np.diff(between, axis=1) == 0).sum()), len(days) * 512**3 / 2**26)


def gaps(u: np.ndarray) -> float:
    """Numbers between those below 0.1 are geometric."""
    length = np.minimum(np.diff(np.flatnonzero(u < 0.1)) - 1, 40)
    expected = 0.1 * 0.9 ** np.arange(41)
    expected[40] = 0.9**40
    return float(stats.chisquare(np.bincount(length, minlength=41), expected * len(length)).pvalue)


def battery(grid: np.ndarray) -> dict[str, float]:
    """p-values of words on the grid."""
    u, flat = (grid + 0.5) / 2**32, grid.ravel()
    bits = np.arange(32)
    found = {
        "uniform": float(stats.kstest(u.ravel(), "uniform").pvalue),
        "triples": serial(16, *(u[..., i : i + 62] for i in range(3))),
        "bits": chi_square(np.array([((flat >> bit) & 1).sum() for bit in bits])),
        "maxima": float(stats.kstest(u.max(-1).ravel() ** AXES["index"], "uniform").pvalue),
        "spacings of high bits": spacings(flat >> 8),
        "spacings of low bits": spacings(flat & (2**24 - 1)),
        "gaps": gaps(u.ravel()),
        "repeats": rare(len(flat) - len(np.unique(flat)), len(flat) ** 2 / 2**33),
    }
    for axis, name in enumerate(AXES):
        ours, theirs = np.delete(grid, -1, axis), np.delete(grid, 0, axis)
        first, second = (ours + 0.5) / 2**32, (theirs + 0.5) / 2**32
        z = np.corrcoef(first.ravel(), second.ravel())[0, 1] * np.sqrt(first.size)
        differ = np.array([(((ours ^ theirs) >> bit) & 1).sum() for bit in bits])
        found |= {
            f"correlation by {name}": 2 * float(ndtr(-abs(z))),
            f"pairs by {name}": serial(32, first, second),
            # Each of 32 bits differs in half of the pairs.
            f"bits by {name}": float(stats.chi2.sf(((differ - ours.size / 2) ** 2).sum() / (ours.size / 4), 32)),
        }
    return found


def test_numbers_pass_the_battery():
    found = battery(drawn())
    assert min(found.values()) > 1e-3, found


@pytest.mark.parametrize(
    "broken",
    [{"rounds": 5}, {"overlapping": True}, *({"ignored": name} for name in AXES if name != "index")],
    ids=str,
)
def test_broken_generators_fail_it(broken):
    assert min(battery(other(**broken)).values()) < 1e-12


def test_the_plain_generator_passes_it():
    assert min(battery(other()).values()) > 1e-3


# Laws --------------------------------------------------------------------------------------------------------------


def normals_of_worlds(worlds: int, count: int, purpose: Purpose = Purpose.FADING) -> np.ndarray:
    numbers = np.empty((worlds, count))
    streams = streams_of(np.random.default_rng(worlds).integers(2**64, size=worlds, dtype=np.uint64))
    fill_normals_of_worlds(streams, int(purpose), numbers, np.empty(room_for(count)))
    return numbers


def test_normals_are_normal_far_out_too():
    numbers = normals_of_worlds(250, 8000)
    flat = numbers.ravel()
    assert stats.kstest(flat, "norm").pvalue > 1e-3
    for limit in (3.0, 4.0, 4.75):
        for beyond in ((flat > limit).sum(), (flat < -limit).sum()):
            assert rare(int(beyond), len(flat) * ndtr(-limit)) > 1e-3
    largest = flat.reshape(-1, 500).max(1)
    assert stats.kstest(ndtr(largest) ** 500, "uniform").pvalue > 1e-3
    # The largest that 32 bits allow.
    assert np.abs(flat).max() < np.sqrt(66 * np.log(2))


def test_normals_of_one_radius_are_independent():
    """Two of a world come from one radius and one angle: half of the numbers lies between them."""
    numbers = normals_of_worlds(500, 800)
    for apart in (400, 200, 1, 2, 3):
        ours, theirs = numbers[:, :-apart], numbers[:, apart:]
        if apart == 400:
            radius, angle = np.exp(-(ours**2 + theirs**2) / 2), np.arctan2(ours, theirs) / (2 * np.pi) + 0.5
            assert stats.kstest(radius.ravel(), "uniform").pvalue > 1e-3
            assert stats.kstest(angle.ravel(), "uniform").pvalue > 1e-3
            assert serial(20, radius, angle) > 1e-3
        assert serial(20, ndtr(ours), ndtr(theirs)) > 1e-3
        # Sizes, too: a radius in common would show there.
        assert abs(np.corrcoef(np.abs(ours).ravel(), np.abs(theirs).ravel())[0, 1]) < 4 / np.sqrt(ours.size)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_normals_are_normal(count):
    numbers = normals_of_worlds(5000, count)
    for k in range(count):
        assert stats.kstest(numbers[:, k], "norm").pvalue > 1e-3
        assert np.abs(np.corrcoef(numbers.T.reshape(count, -1))).sum() < count + count**2 * 0.05


def log_gammas(shape: float, count: int, worlds: int = 1) -> np.ndarray:
    length, drawn = room_for(count), np.empty((worlds, room_for(count)))
    streams = streams_of(np.random.default_rng(5).integers(2**64, size=worlds, dtype=np.uint64))
    for n in range(worlds):
        fill_log_gammas(
            streams, n, int(Purpose.DATA), shape, count, drawn[n], np.empty((2, length)), np.empty(count, np.int64)
        )
    return drawn[:, :count]


@pytest.mark.parametrize("shape", [0.05, 0.3, 0.7, 1.0, 3.0, 50.0])
@pytest.mark.parametrize(("worlds", "count"), [(1, 30_000), (6000, 5)])
def test_gammas_are_gammas(shape, worlds, count):
    quantile = stats.gamma(shape).cdf(np.exp(log_gammas(shape, count, worlds)))
    assert stats.kstest(quantile.ravel(), "uniform").pvalue > 1e-3
    assert serial(10, quantile[:, :-1], quantile[:, 1:]) > 1e-3


def test_gammas_of_the_smallest_shapes_have_logarithms():
    """Far below all floats the logarithm is that of a uniform number, divided by the shape."""
    drawn = log_gammas(1e-9, 20_000)[0]
    assert stats.kstest(np.exp(drawn * 1e-9), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0])
def test_shares_of_gammas_are_those_of_numpy(alpha):
    logarithms = log_gammas(alpha, 6, 6000)
    gammas = np.exp(logarithms - logarithms.max(1, keepdims=True))
    ours = gammas / gammas.sum(1, keepdims=True)
    theirs = np.random.default_rng(0).dirichlet(np.full(6, alpha), 6000)
    for statistic in (lambda share: share[:, 0], lambda share: share[:, 5], lambda share: share.max(1), evenness):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-3


def evenness(share: np.ndarray) -> np.ndarray:
    return 1 - np.square(share).sum(1)


# Streams -----------------------------------------------------------------------------------------------------------


def test_a_number_depends_on_its_place_only():
    streams = streams_of([7, 8, 9], number=4)
    expected = uniforms(streams, 1, Purpose.SPEED, 9)
    for purpose in Purpose:
        uniforms(streams, 1, purpose, 50)
    uniforms(streams, 1, Purpose.SPEED, 9, attempt=1)
    np.testing.assert_array_equal(uniforms(streams, 1, Purpose.SPEED, 9), expected)
    # Not on other worlds, nor on where the world is among them.
    alone = streams_of([8], number=4)
    np.testing.assert_array_equal(uniforms(alone, 0, Purpose.SPEED, 9), expected)
    for change in (
        {"streams": streams_of([8], number=5)},
        {"streams": streams_of([8 + 2**32], number=4)},
        {"purpose": Purpose.LOAD},
        {"attempt": 1},
    ):
        changed = uniforms(**{"streams": alone, "n": 0, "purpose": Purpose.SPEED, "count": 9} | change)
        assert not np.isin(changed, expected).any()


def test_numbers_behind_those_asked_for_stay():
    numbers = np.full(20, 5.0)
    fill_uniforms(streams_of([1]), 0, 0, 6, numbers)
    assert (numbers[room_for(6) :] == 5.0).all()
    fill_normals(streams_of([1]), 0, 0, 6, numbers)
    assert (numbers[room_for(6) :] == 5.0).all()
    assert [room_for(count) for count in (0, 1, 4, 5)] == [0, 4, 4, 8]


def test_purposes_have_numbers_of_their_own():
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose)


def begun(streams: Streams, which, generators) -> Streams:
    streams.begin_episodes(np.array(which), generators)
    return streams


def test_every_episode_has_the_next_number_of_its_generator_as_key():
    streams, generators = Streams.empty(2), [np.random.default_rng(seed) for seed in (1, 2)]
    one, another = (np.random.default_rng(seed).bit_generator.random_raw(2) for seed in (1, 2))
    begun(streams, [0, 1], generators)
    assert streams.key.tolist() == [one[0], another[0]]
    streams.round[:] = 5, 6
    begun(streams, [1], generators[1:])
    assert streams.key.tolist() == [one[0], another[1]]
    assert streams.round.tolist() == [5, 0]


def test_a_generator_that_is_put_back_gives_the_same_episode_again():
    generator, streams = np.random.default_rng(4), Streams.empty(1)
    state = generator.bit_generator.state
    first = begun(streams, [0], [generator]).key.copy()
    second = begun(streams, [0], [generator]).key.copy()
    generator.bit_generator.state = state
    assert first != second
    assert begun(streams, [0], [generator]).key == first


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda streams: pickle.loads(pickle.dumps(streams))])
def test_a_copy_goes_its_own_way(duplicate):
    streams = begun(Streams.empty(1), [0], [np.random.default_rng(5)])
    twin = duplicate(streams)
    twin.round[:] += 1
    np.testing.assert_array_equal(uniforms(twin, 0, 1, 8), uniforms(streams_of(streams.key, 1), 0, 1, 8))
    assert streams.round[0] == 0


def test_one_generator_for_each_world_is_needed():
    with pytest.raises(ValueError, match="zip"):
        begun(Streams.empty(2), [0, 1], [np.random.default_rng(0)])
