"""The network as everybody uses it: worlds that do not touch each other, state that can be copied, arrays that stay."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.network import Network
from splitgym.random import NormalBlock
from splitgym.scenario import Cell, Clients, Family, Knowledge, Radio, Scenario, load, presets

NAMES = (
    "channel_gain",
    "client_hz",
    "available",
    "position_m",
    "line_of_sight",
    "believed_channel_gain",
    "believed_client_hz",
    "believed_available",
)
EVERYTHING = Scenario(
    cell=Cell(speed_m_per_s=1.5),
    radio=Radio(subchannels=3, fading="rician"),
    clients=Clients(count=5, compute_spread="log-uniform", load_max=0.5, dropout_probability=0.2),
    knowledge=Knowledge(channel_delay_rounds=2, channel_error_db=1.0, compute_delay_rounds=1),
)
STEP = st.tuples(
    st.sampled_from(["reset", "advance"]), st.lists(st.booleans(), min_size=3, max_size=3), st.floats(0.0, 500.0)
)


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def started(scenario: Scenario, worlds: int) -> tuple[Network, list[np.random.Generator]]:
    network, rngs = Network(scenario, worlds), generators(worlds)
    network.reset(rngs)
    return network, rngs


def values(network: Network, world: int | slice = slice(None)) -> dict[str, np.ndarray]:
    return {name: getattr(network, name)[world].copy() for name in NAMES}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)


def test_shapes_and_types() -> None:
    network, _ = started(EVERYTHING, 2)
    channel, client = (2, 5, 3), (2, 5)
    shapes = [channel, client, client, (2, 5, 2), client, channel, client, client]
    assert [getattr(network, name).shape for name in NAMES] == shapes
    flags = {"available", "line_of_sight", "believed_available"}
    for name in NAMES:
        assert getattr(network, name).dtype == (np.bool_ if name in flags else np.float64)
        assert getattr(network, name).flags.c_contiguous


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=12))
def test_a_world_of_a_batch_is_the_single_world_to_the_bit(steps: list[tuple[str, list[bool], float]]) -> None:
    batch, batch_rngs = started(EVERYTHING, 3)
    singles, single_rngs = [Network(EVERYTHING) for _ in range(3)], generators(3)
    for single, rng in zip(singles, single_rngs, strict=True):
        single.reset([rng])
    for kind, marks, duration_s in steps:
        elapsed_s = duration_s * np.array([1.0, 0.5, 2.0])
        if kind == "reset":
            marked = np.flatnonzero(marks)
            batch.reset([batch_rngs[i] for i in marked], marked)
        else:
            batch.advance(batch_rngs, elapsed_s)
        for i in np.flatnonzero(marks) if kind == "reset" else range(3):
            if kind == "reset":
                singles[i].reset([single_rngs[i]])
            else:
                singles[i].advance([single_rngs[i]], elapsed_s[i : i + 1])
        for i in range(3):
            assert_same(values(batch, i), values(singles[i], 0))
            assert batch_rngs[i].bit_generator.state == single_rngs[i].bit_generator.state


def test_large_batches_are_the_single_world_to_the_bit_too() -> None:
    worlds = 67  # not a multiple of any vector register
    batch, rngs = started(EVERYTHING, worlds)
    for _ in range(4):
        batch.advance(rngs, np.linspace(0, 300, worlds))
    for i, rng in enumerate(generators(worlds)):
        single = Network(EVERYTHING)
        single.reset([rng])
        for _ in range(4):
            single.advance([rng], np.linspace(0, 300, worlds)[i : i + 1])
        assert_same(values(batch, i), values(single, 0))


def test_unmarked_worlds_stay_and_marked_ones_change() -> None:
    network, rngs = started(EVERYTHING, 3)
    before = values(network)
    which = np.array([False, True, False])
    network.reset([rngs[1]], np.array([1]))
    assert not np.array_equal(network.position_m[1], before["position_m"][1])
    np.testing.assert_array_equal(network.position_m[~which], before["position_m"][~which])
    np.testing.assert_array_equal(network.channel_gain[~which], before["channel_gain"][~which])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_goes_on_identically_and_apart(duplicate) -> None:
    network, rngs = started(EVERYTHING, 2)
    network.advance(rngs, np.ones(2))
    twin, twin_rngs = duplicate((network, rngs))
    before = values(network)
    for _ in range(3):
        twin.advance(twin_rngs, np.full(2, 7.0))
    assert_same(values(network), before)
    for _ in range(3):
        network.advance(rngs, np.full(2, 7.0))
    assert_same(values(network), values(twin))


def test_toy_is_1e_10_for_ever_and_draws_nothing() -> None:
    network, rngs = started(load("toy"), 1)
    drawn = rngs[0].bit_generator.state
    for _ in range(3):
        np.testing.assert_allclose(network.channel_gain, np.full((1, 2, 2), 1e-10), rtol=1e-15)
        np.testing.assert_array_equal(network.client_hz, np.full((1, 2), 1e6))
        assert network.available.all()
        assert network.line_of_sight.all()
        np.testing.assert_array_equal(network.believed_channel_gain, network.channel_gain)
        network.advance(rngs, np.array([10.0]))
    assert rngs[0].bit_generator.state == drawn


@pytest.mark.parametrize("preset", presets())
def test_presets_give_usable_rounds(preset: str) -> None:
    network, rngs = started(load(preset), 4)
    network.advance(rngs, np.full(4, 2.0))
    for name in ("channel_gain", "client_hz", "believed_channel_gain", "believed_client_hz"):
        array = getattr(network, name)
        assert np.isfinite(array).all()
        assert (array > 0).all()


def test_misuse_is_explained() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Network(EVERYTHING, 0)
    network, rngs = Network(EVERYTHING, 2), generators(2)
    with pytest.raises(RuntimeError, match="reset all worlds first"):
        _ = network.channel_gain
    with pytest.raises(RuntimeError, match="reset all worlds first"):
        network.reset(rngs[:1], np.array([1]))
    network.reset(rngs)
    with pytest.raises(ValueError, match="one per world"):
        network.reset(rngs[:1])
    with pytest.raises(ValueError, match="one duration per world"):
        network.advance(rngs, np.ones(3))
    with pytest.raises(ValueError, match="2 generators for 1 worlds"):
        network.reset(rngs, np.array([1]))


@pytest.mark.parametrize("name", ["everything", *presets()])
def test_it_uses_all_the_numbers_it_asks_for(name: str) -> None:
    family = Family(clients=(2, 4), compute_factor=(0.5, 2.0), radius_m=(50.0, 90.0), subchannel_hz=(1e5, 1e6))
    scenario = EVERYTHING.model_copy(update={"family": family}) if name == "everything" else load(name)
    network, rngs = Network(scenario, 2), generators(2)
    first = NormalBlock.draw(rngs, network.numbers_per_reset)
    network.reset(first)
    later = NormalBlock.draw(rngs, network.numbers_per_round)
    network.advance(later, np.full(2, 5.0))
    assert (first.left, later.left) == (0, 0)
