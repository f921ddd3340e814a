"""The network as everybody uses it: worlds that do not touch each other, state that can be copied, arrays that stay."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played_cells import Cells

from splitgym.network import Network
from splitgym.random import Streams
from splitgym.scenario import Cell, Clients, Knowledge, Radio, Scenario, load, presets

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


def values(network: Network, world: int | slice = slice(None)) -> dict[str, np.ndarray]:
    return {name: getattr(network, name)[world].copy() for name in NAMES}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)


def test_shapes_and_types() -> None:
    network = Cells(EVERYTHING, 2).network
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
    batch, singles = Cells(EVERYTHING, 3), [Cells(EVERYTHING, first_seed=seed) for seed in range(3)]
    for kind, marks, duration_s in steps:
        elapsed_s = duration_s * np.array([1.0, 0.5, 2.0])
        if kind == "reset":
            batch.reset(np.flatnonzero(marks))
        else:
            batch.advance(elapsed_s)
        for i in np.flatnonzero(marks) if kind == "reset" else range(3):
            singles[i].reset() if kind == "reset" else singles[i].advance(elapsed_s[i])
        for i, single in enumerate(singles):
            assert_same(values(batch.network, i), values(single.network, 0))
            assert batch.generators[i].bit_generator.state == single.generators[0].bit_generator.state


def test_large_batches_are_the_single_world_to_the_bit_too() -> None:
    worlds = 67  # not a multiple of any vector register
    batch, elapsed_s = Cells(EVERYTHING, worlds), np.linspace(0, 300, 67)
    for _ in range(4):
        batch.advance(elapsed_s)
    for i in range(worlds):
        single = Cells(EVERYTHING, first_seed=i)
        for _ in range(4):
            single.advance(elapsed_s[i])
        assert_same(values(batch.network, i), values(single.network, 0))


def test_unmarked_worlds_stay_and_marked_ones_change() -> None:
    cells = Cells(EVERYTHING, 3)
    cells.advance(5.0)
    before = values(cells.network)
    cells.reset([1])
    for name, after in values(cells.network).items():
        np.testing.assert_array_equal(after[[0, 2]], before[name][[0, 2]], err_msg=name)
        # Everybody may be there in both episodes, and seen or not.
        if after.dtype != np.bool_:
            assert not np.isin(after[1], before[name][1]).any(), name


def test_arrays_are_made_once() -> None:
    cells = Cells(EVERYTHING, 2)
    arrays = [getattr(cells.network, name) for name in NAMES]
    cells.advance(5.0)
    cells.reset([1])
    assert all(getattr(cells.network, name) is array for name, array in zip(NAMES, arrays, strict=True))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda cells: pickle.loads(pickle.dumps(cells))])
@pytest.mark.parametrize("scenario", [EVERYTHING, load("iot")], ids=["everything", "iot"])
def test_a_copy_goes_on_identically_and_apart(duplicate, scenario: Scenario) -> None:
    cells = Cells(scenario, 2)
    cells.advance()
    twin, before = duplicate(cells), values(cells.network)

    def play(played: Cells) -> None:
        for _ in range(3):
            played.advance(7.0)
        played.reset([0])
        played.advance(7.0)

    play(twin)
    assert_same(values(cells.network), before)
    play(cells)
    assert_same(values(cells.network), values(twin.network))


def test_toy_is_1e_10_for_ever() -> None:
    cells = Cells(load("toy"))
    network = cells.network
    for _ in range(3):
        np.testing.assert_allclose(network.channel_gain, np.full((1, 2, 2), 1e-10), rtol=1e-15)
        np.testing.assert_array_equal(network.client_hz, np.full((1, 2), 1e6))
        assert network.available.all()
        assert network.line_of_sight.all()
        np.testing.assert_array_equal(network.believed_channel_gain, network.channel_gain)
        cells.advance(10.0)


@pytest.mark.parametrize("preset", sorted({*presets()} - {"boards"}))
def test_presets_give_usable_rounds(preset: str) -> None:
    cells = Cells(load(preset), 4)
    for _ in range(2):
        for name in ("channel_gain", "client_hz", "believed_channel_gain", "believed_client_hz"):
            array = getattr(cells.network, name)
            assert np.isfinite(array).all()
            assert (array > 0).all()
        cells.advance(2.0)


def test_misuse_is_explained() -> None:
    with pytest.raises(ValueError, match="worlds = 0 must be at least 1"):
        Network(EVERYTHING, 0)
    network, streams = Network(EVERYTHING, 2), Streams.empty(2)
    with pytest.raises(RuntimeError, match="reset all worlds first"):
        network.advance(streams, np.ones(2))
    with pytest.raises(RuntimeError, match="reset all worlds first"):
        network.reset(streams, np.array([1]))
    network.reset(streams)
    with pytest.raises(ValueError, match="elapsed_s of 3 worlds, allowed: of 2"):
        network.advance(streams, np.ones(3))
    for streams in (Streams.empty(1), Streams.empty(3)):
        with pytest.raises(ValueError, match=f"streams of {len(streams.key)} worlds, allowed: of 2"):
            network.reset(streams)
        with pytest.raises(ValueError, match=f"streams of {len(streams.key)} worlds, allowed: of 2"):
            network.advance(streams, np.ones(2))
