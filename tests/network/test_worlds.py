"""What worlds draw: nothing twice, nothing in common, and only in the worlds that are meant."""

import numpy as np
import pytest
from played_cells import Cells
from scipy import stats

from splitgym.scenario import Cell, Clients, Family, Knowledge, Radio, Scenario

WORLDS = 2000
FAMILY = Family(clients=(2, 6), compute_factor=(0.5, 2.0), radius_m=(50.0, 90.0), subchannel_hz=(1e5, 1e6))
VARIED = Scenario(
    cell=Cell(speed_m_per_s=1.5, path_loss="constant", constant_loss_db=10.0),
    radio=Radio(subchannels=2, fading_correlation=0.0, antenna_gain=10.0),
    clients=Clients(
        count=6,
        compute_min_hz=1e7,
        compute_max_hz=1e9,
        load_max=0.5,
        load_correlation=0.0,
        dropout_probability=0.4,
        return_probability=0.6,
    ),
    knowledge=Knowledge(channel_error_db=2.0),
    family=FAMILY,
)
"""Gains are those of the fading alone, and nothing that is drawn in a round depends on the round before."""
FIRST = 2
"""Clients that are always there."""


def drawn_in_a_round(cells: Cells) -> dict[str, np.ndarray]:
    """Numbers of all worlds that should be independent, [N, ...]."""
    network = cells.network
    error = np.log(network.believed_channel_gain / network.channel_gain)
    found = {"fading": network.channel_gain[:, :FIRST], "error": error[:, :FIRST]}
    return found | ({"available": network.available[:, :FIRST]} if cells.streams.round.all() else {})


def drawn_at_first(cells: Cells) -> dict[str, np.ndarray]:
    network = cells.network
    position_m, radius_m = network.position_m[:, :FIRST], network.radius_m
    distance_m, inner_m = np.linalg.norm(position_m, axis=-1), VARIED.cell.min_distance_m
    return {
        "radius": radius_m,
        "width": network.subchannel_hz[:, 0],
        "clients": network.present.sum(1),
        "place": (distance_m**2 - inner_m**2) / (radius_m[:, None] ** 2 - inner_m**2),
        "direction": position_m[..., 0] / distance_m,
        "side": position_m[..., 1] / distance_m,
        # A factor in common is no correlation of the ratio.
        "speeds": network.client_hz[:, 0] / network.client_hz[:, 1],
    } | drawn_in_a_round(cells)


def test_nothing_that_is_drawn_tells_of_anything_else() -> None:
    """Neither in the same round, nor in the next ones, nor in the next episode."""
    cells = Cells(VARIED, WORLDS)
    columns = {}
    for episode in range(2):
        for number in range(3):
            found = drawn_in_a_round(cells) if number else drawn_at_first(cells)
            for name, numbers in found.items():
                for k, column in enumerate(numbers.reshape(WORLDS, -1).T):
                    columns[episode, number, name, k] = stats.rankdata(column)
            cells.advance(1.0)
        cells.reset()
    correlation = np.abs(np.corrcoef(list(columns.values())))
    np.fill_diagonal(correlation, 0.0)
    names, worst = list(columns), np.unravel_index(correlation.argmax(), correlation.shape)
    assert correlation.max() < 4.6 / np.sqrt(WORLDS), [names[i] for i in worst]
    # Neighbouring worlds do not hear of each other either.
    for name, column in columns.items():
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 4.6 / np.sqrt(WORLDS), name


@pytest.mark.parametrize(
    ("section", "changes", "names"),
    [
        ("clients", {"load_max": 0.0}, ("position_m", "channel_gain", "available", "radius_m")),
        ("clients", {"dropout_probability": 0.0}, ("position_m", "channel_gain", "client_hz", "line_of_sight")),
        ("radio", {"fading": "none"}, ("position_m", "client_hz", "available", "line_of_sight")),
        ("cell", {"speed_m_per_s": 0.0}, ("client_hz", "available", "line_of_sight", "subchannel_hz")),
        ("knowledge", {"channel_error_db": 0.0}, ("position_m", "channel_gain", "client_hz", "available")),
    ],
)
def test_what_a_scenario_leaves_out_changes_nothing_else(section: str, changes: dict, names: tuple[str, ...]) -> None:
    changed = VARIED.model_copy(update={section: getattr(VARIED, section).model_copy(update=changes)})
    assert changed != VARIED
    one, other = Cells(VARIED, 5), Cells(changed, 5)
    for _ in range(3):
        for name, ours, theirs in zip(names, one.now(*names), other.now(*names), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        one.advance(3.0), other.advance(3.0)


def test_episodes_of_a_world_do_not_depend_on_when_others_begin() -> None:
    names = ("position_m", "channel_gain", "client_hz", "believed_channel_gain", "available")
    together, apart = Cells(VARIED, 3), Cells(VARIED, 3)
    together.reset()
    for world in (2, 0, 1):
        apart.reset([world])
    for ours, theirs in zip(together.now(*names), apart.now(*names), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # In any order.
    together.reset([0, 2]), apart.reset([2, 0])
    for ours, theirs in zip(together.now(*names), apart.now(*names), strict=True):
        np.testing.assert_array_equal(ours, theirs)
