"""What fits a state: cut layers, selections, bands, clusters and aggregation ratios, of one world or of N.

Kernels read arrays without a look at their bounds, so every public function that ends in one asks here first. Functions
whose name ends in `_unchecked` do not ask; they are for what the package itself has made.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.frameworks.exchange import WITH_MEAN
from splitgym.frameworks.phases import Access
from splitgym.frameworks.placed import NONE_YET
from splitgym.frameworks.plans import PlanGrid
from splitgym.inputs import InputError
from splitgym.types.plan import Plan
from splitgym.types.state import RoundState

if TYPE_CHECKING:
    from splitgym.types.decision import Decision
from splitgym.types.checks import QUICK, check_array, check_number, check_range, shape_text, shown

MOST_PSD = 1e9
"""W/Hz: a hundred times all power that a scenario allows, on one hertz."""
LAST_TURN = 2**31 - 1
"""Clusters have numbers between this one and its negative."""
ROUNDING = 1e-12
"""By so much may phi exceed the highest allowed: both are rounded."""


NO_ARRAYS = ("plan", "cut_layer", "aggregation_ratio", "second_cut", "codec", "precision", "batch_size")
"""Arguments that need not be arrays: a plan; numbers, for all or for each world."""


def check_state(state: RoundState, one_world: bool = False) -> None:
    """Raises an InputError if the arrays of a state that kernels read do not fit each other, or are of N worlds."""
    if not isinstance(state, RoundState) or np.ndim(state.channel_gain) not in (2, 3):
        raise InputError(f"state = {shown(state)}, allowed: a splitgym.types.RoundState")
    *worlds, clients, subchannels = state.channel_gain.shape
    if one_world and worlds:
        raise InputError(f"state is of {worlds[0]} worlds, allowed: of one, as `state.world(0)`")
    system = state.system
    if subchannels != system.subchannels:
        raise InputError(f"state.channel_gain has {subchannels} subchannels, allowed: {system.subchannels}")
    of_worlds, of_clients = tuple(worlds), (*worlds, clients)
    check_array("state.channel_gain", state.channel_gain, "f", (*of_clients, subchannels))
    check_array("state.subchannel_hz", state.subchannel_hz, "f", (*of_worlds, subchannels))
    check_array("state.client_hz", state.client_hz, "f", of_clients)
    check_array("state.available", state.available, "b", of_clients)
    if worlds or type(state.server_hz) not in QUICK["iuf"]:
        check_array("state.server_hz", state.server_hz, "iuf", of_worlds)
    check_array("state.client_memory_bytes", state.client_memory_bytes, "f", of_clients)
    check_array("state.absence", state.absence, "f", of_clients)
    cuts = check_array("state.client_cut_layer", state.client_cut_layer, "iu", of_clients)
    check_range("state.client_cut_layer", cuts, 0, system.cut_layers)
    check_number("state.second_cut", state.second_cut, "iu", (0, system.units - 1), of_worlds)
    second = check_array("state.client_second_cut", state.client_second_cut, "iu", of_clients)
    check_range("state.client_second_cut", second, 0, system.units - 1)
    reuse = system.stations_on_a_subchannel
    of_band = subchannels * (reuse > 1)
    check_array("state.station_gain", state.station_gain, "f", (*of_clients, reuse * (reuse > 1)))
    check_array("state.uplink_interference", state.uplink_interference, "f", (*of_worlds, of_band))
    check_array("state.downlink_interference", state.downlink_interference, "f", (*of_clients, of_band))
    placed = system.program.placed
    if placed is not None:
        nodes = check_array("state.unit_node", state.unit_node, "iu", (*of_worlds, placed.units))
        check_range("state.unit_node", nodes, NONE_YET, len(placed.resources.names) - 1)


def check_decision(decision: "Decision", state: RoundState) -> None:
    """Raises an InputError that names the first field of a decision which does not fit the state."""
    check_state(state)
    worlds, access = state.channel_gain.shape[:-2], state.system.program.access
    clients, subchannels = state.channel_gain.shape[-2:]
    check_selected(state, decision.selected, "Decision.selected")
    owner = np.asarray(decision.assignment)
    rows = {Access.PARALLEL: None, Access.CLUSTERED: "slots", Access.SEQUENTIAL: clients}[access]
    fits = owner.shape == (*worlds, subchannels) or (
        owner.ndim == len(worlds) + 2
        and owner.shape == (*worlds, max(owner.shape[-2], 1), subchannels)
        and rows in ("slots", owner.shape[-2])
    )
    if not fits:
        with_slots = f" or {shape_text((*worlds, rows, subchannels))}" if rows else ""
        allowed = shape_text((*worlds, subchannels)) + with_slots
        raise InputError(f"Decision.assignment has shape {owner.shape}, allowed: {allowed}")
    check_owners(state, owner, owner.shape, "Decision.assignment")
    check_psd(decision.power_w_per_hz, owner.shape, "Decision.power_w_per_hz")
    cluster = check_array("Decision.cluster", decision.cluster, "iu", (*worlds, clients))
    check_range("Decision.cluster", cluster, -LAST_TURN, LAST_TURN)
    if decision.by_slot and access is Access.CLUSTERED:
        bands = owner.shape[-2]
        if np.any(decision.selected & ((cluster < 0) | (cluster >= bands))):
            raise InputError(
                f"Decision.cluster = {shown(cluster)}, allowed for selected clients: 0..{bands - 1}, "
                "the rows of Decision.assignment"
            )
    check_plan(state, decision.plan, "Decision.", worlds)
    _check_clock(decision.clock, (), worlds, decision.selected.shape)
    asynchrony = state.system.asynchrony
    most = clients if asynchrony is not None and asynchrony.decides_quorum else 0
    check_number("Decision.quorum", decision.quorum, "iu", (0, most), (), worlds)
    grid, selected, ratio = state.system.program.plans, decision.selected, decision.aggregation_ratio
    check_common("Decision.cut_layer", decision.cut_layer, selected, ratio, grid.cut_by_client)
    check_common("Decision.codec", decision.codec, selected, ratio, grid.codec_by_client)
    check_common("Decision.precision", decision.precision, selected, ratio, grid.precision_by_client)
    if grid.batch_by_client and np.ndim(decision.batch_size) == selected.ndim:
        sizes = decision.plan.sizes(state)
        check_common("Decision.batch_size", sizes, selected, ratio, grid.batch_by_client)
    check_broadcast(decision.codec, selected, ratio, grid.codecs_without_broadcast)


def check_plan(state: RoundState, plan: Plan, prefix: str = "", *shapes: tuple[int, ...]) -> None:
    """Raises an InputError that names the first factor of a plan which does not fit the state.

    Args:
        state: Of one world or N.
        plan: Of as many.
        prefix: Before the factor's name.
        shapes: That numbers may have; none: of one for all, or of one for each world.
    """
    if not isinstance(plan, Plan):
        raise InputError(f"plan = {shown(plan)}, allowed: a splitgym.types.Plan")
    worlds = state.channel_gain.shape[:-2]
    grid, cuts, numbers = state.system.program.plans, state.system.cut_layers, shapes or ((), worlds)
    each, choices = (state.channel_gain.shape[:-1],), {(), *numbers}
    check_number(f"{prefix}cut_layer", plan.cut_layer, "iu", (1, cuts), *numbers, *each[: grid.cut_by_client])
    check_number(f"{prefix}codec", plan.codec, "iu", (0, grid.codecs - 1), *choices, *each[: grid.codec_by_client])
    bits = (0, grid.precisions - 1)
    check_number(f"{prefix}precision", plan.precision, "iu", bits, *choices, *each[: grid.precision_by_client])
    check_number(f"{prefix}averaging", plan.averaging, "iu", (0, WITH_MEAN * state.system.averaging_decided), *choices)
    by_client = each[: grid.batch_by_client]
    _check_batch(f"{prefix}batch_size", plan.batch_size, grid, *choices, *by_client)
    check_number(f"{prefix}placement", plan.placement, "iu", (0, grid.placements - 1), *choices)
    last = grid.second_values[-1] if grid.second_cuts > 1 else 0
    check_number(f"{prefix}second_cut", plan.second_cut, "iu", (0, last), *choices)
    if grid.tails:
        check_behind(plan.cut_layer, plan.second_cut, f"{prefix}second_cut")
    check_number(f"{prefix}aggregation_ratio", plan.aggregation_ratio, "iuf", (0, 1), *numbers)


def check_common(name: str, factor: Any, selected: Any, aggregation_ratio: Any, by_client: bool) -> None:
    """Raises an InputError if clients that take part have different values of a factor and must not.

    Args:
        name: Of the field.
        factor: [C] or [N, C], or numbers for all clients.
        selected: [C] or [N, C].
        aggregation_ratio: phi, or [N].
        by_client: Whether they may with phi = 0.
    """
    values = np.asarray(factor)
    if values.ndim != np.ndim(selected):
        return
    if np.any(differ(values, selected) & (not by_client or np.asarray(aggregation_ratio) > 0)):
        allowed = "one for all with aggregation_ratio > 0" if by_client else "one for all"
        raise InputError(f"{name} = {shown(factor)}, allowed: {allowed}")


def check_broadcast(codec: Any, selected: Bools, aggregation_ratio: Any, without_broadcast: Sequence[int]) -> None:
    """Raises an InputError if gradients of clients that take part have to be broadcast and cannot be.

    Args:
        codec: Of all clients, or of each; as in a decision of one world or N.
        selected: [C] or [N, C].
        aggregation_ratio: phi, or [N].
        without_broadcast: Codecs whose gradients differ from client to client.
    """
    if np.any(uses(codec, selected, without_broadcast) & (np.asarray(aggregation_ratio) > 0)):
        raise InputError(
            f"Decision.codec = {shown(codec)}, allowed with aggregation_ratio > 0: codecs that can broadcast"
        )


def uses(codec: Any, selected: Bools, some: Sequence[int]) -> Any:
    """Whether clients that are selected have one of some codecs: False, a bool, or [N] of them."""
    if not len(some):
        return False
    of_clients = codec if np.ndim(codec) == selected.ndim else np.asarray(codec)[..., None]
    return (np.isin(of_clients, some) & selected).any(-1)


def differ(factor: NDArray[np.integer], selected: Bools) -> Any:
    """Whether clients that are selected have different values of a factor: of [C] one bool, of [N, C] [N]."""
    most = np.where(selected, factor, 0).max(-1)
    return most > np.where(selected, factor, factor.max()).min(-1)


def sent_apart(plan: Plan, selected: Bools, state: RoundState) -> Any:
    """Whether the gradients of each client have to be sent by themselves, so that phi must be 0: False, or [N] bools.

    That is so where cut layers, codecs, precisions or batch sizes of selected clients differ, and with codecs whose
    gradients differ from client to client.

    Args:
        plan: Of one world or N.
        selected: [C] or [N, C].
        state: Of as many worlds.
    """
    grid = state.system.program.plans
    by_client = grid.cut_by_client or grid.codec_by_client or grid.precision_by_client or grid.batch_by_client
    if not (by_client or grid.codecs_without_broadcast):
        return False
    apart: Any = False
    sizes = plan.sizes(state) if grid.batch_by_client else 0
    for factor in (plan.cut_layer, plan.codec, plan.precision, sizes):
        if np.ndim(factor) == selected.ndim:
            apart = apart | differ(np.asarray(factor), selected)
    return apart | uses(plan.codec, selected, grid.codecs_without_broadcast)


def check_arguments(state: RoundState, one_world: bool = True, **values: Any) -> None:
    """Raises an InputError that names the first argument of a function which does not fit the state, or the state.

    Args:
        state: Of one world or N.
        one_world: Whether it has to be of one world.
        **values: `plan`, `cut_layer`, `second_cut`, `selected`, `aggregation_ratio`, `assignment`, `cluster` or
            `power_w_per_hz`.
    """
    check_state(state, one_world)
    for name, value in values.items():
        if name not in NO_ARRAYS and not isinstance(value, np.ndarray):
            raise InputError(f"{name} = {shown(value)}, allowed: a numpy array")
        _ARGUMENTS[name](state, value)


def check_cut_layer(state: RoundState, value: Any) -> None:
    """Raises an InputError if it is no cut layer 1..L-1, one for all, one for each world, or one for each client."""
    clients = (state.channel_gain.shape[:-1],) if state.system.program.plans.cut_by_client else ()
    check_number("cut_layer", value, "iu", (1, state.system.cut_layers), (), state.channel_gain.shape[:-2], *clients)


def check_second_cut(state: RoundState, value: Any) -> None:
    """Raises an InputError if it is no second cut 1..L-1, one for all or one for each world, or nobody decides it."""
    if state.system.program.plans.second_cuts == 1:
        raise InputError(f"second_cut = {shown(value)}, allowed: None, as nobody decides it here")
    values = state.system.program.plans.second_values
    check_number("second_cut", value, "iu", (values[0], values[-1]), (), state.channel_gain.shape[:-2])


def check_behind(cut_layer: Any, second_cut: Any, name: str = "second_cut") -> None:
    """Raises an InputError if second cuts in front of clients' tails do not lie behind the cut layers; 0 is open."""
    before = (np.asarray(second_cut) > 0) & (np.asarray(second_cut) <= cut_layer)
    if before.any():
        raise InputError(f"{name} = {shown(second_cut)}, allowed with cut_layer = {shown(cut_layer)}: more than that")


def check_codec(state: RoundState, value: Any) -> None:
    """Raises an InputError if it is no index in the scenario's codecs, one for all, for each world or each client."""
    grid = state.system.program.plans
    _check_choice("codec", value, grid.codecs, grid.codec_by_client, state)


def check_precision(state: RoundState, value: Any) -> None:
    """Raises an InputError if it is no index in the scenario's precisions, likewise."""
    grid = state.system.program.plans
    _check_choice("precision", value, grid.precisions, grid.precision_by_client, state)


def check_batch_size(state: RoundState, value: Any) -> None:
    """Raises an InputError if it is no batch size that may be decided, one for all, for each world or each client."""
    grid = state.system.program.plans
    clients = (state.channel_gain.shape[:-1],) if grid.batch_by_client else ()
    _check_batch("batch_size", value, grid, (), state.channel_gain.shape[:-2], *clients)


def _check_batch(name: str, value: Any, grid: PlanGrid, *shapes: tuple[int, ...]) -> None:
    """Raises an InputError if these are no batch sizes that may be decided, or 0, in one of these shapes."""
    if type(value) is int and value == 0 and () in shapes:
        return  # As nearly always.
    check_number(name, value, "iu", (0, grid.largest_batch), *shapes)
    if np.any((np.asarray(value) > 0) & (np.asarray(value) < grid.smallest_batch)):
        allowed = f"{grid.smallest_batch}..{grid.largest_batch}, or 0: that of the scenario"
        raise InputError(f"{name} = {shown(value)}, allowed: {allowed}")


def _check_choice(name: str, value: Any, choices: int, by_client: bool, state: RoundState) -> None:
    """Raises an InputError if it is no index below `choices`, one for all, for each world or each client."""
    clients = (state.channel_gain.shape[:-1],) if by_client else ()
    check_number(name, value, "iu", (0, choices - 1), (), state.channel_gain.shape[:-2], *clients)


def check_selected(state: RoundState, value: Any, name: str = "selected") -> None:
    """Raises an InputError if it is no bool array, [C] or [N, C]."""
    check_array(name, value, "b", state.channel_gain.shape[:-1])


def check_ratio(state: RoundState, value: Any) -> None:
    """Raises an InputError if it is no phi, 0..1, one for all or one for each world."""
    check_number("aggregation_ratio", value, "iuf", (0, 1), (), state.channel_gain.shape[:-2])


def check_allowed_ratio(ratio: Any, highest: float, prescribed: Any, name: str = "Decision.aggregation_ratio") -> None:
    """Raises an InputError if a framework does not do this phi.

    Args:
        ratio: Of one world.
        highest: The largest that it allows.
        prescribed: What it prescribes for this round; NaN: whoever decides may choose it.
        name: Of the field.
    """
    if not np.isnan(prescribed):
        if ratio != prescribed:
            raise InputError(f"{name} = {ratio}, allowed in this round of the framework: {prescribed:g}")
    elif ratio > highest + ROUNDING:
        allowed = f"0..{highest:g}" if highest > 0 else "0"
        raise InputError(f"{name} = {ratio}, allowed with this framework: {allowed}")


def check_owners(state: RoundState, value: Any, shape: tuple[int, ...], name: str = "assignment") -> None:
    """Raises an InputError if these are no owners of subchannels, -1 (unused) or 0..C-1, in that shape."""
    clients = state.channel_gain.shape[-2]
    owner = check_array(name, value, "iu", shape)
    check_range(name, owner, -1, clients - 1, "-1 (unused) or 0..{high:g}")


def check_psd(value: Any, shape: tuple[int, ...], name: str = "power_w_per_hz") -> None:
    """Raises an InputError if these are no power spectral densities, W/Hz, in that shape."""
    check_range(name, check_array(name, value, "iuf", shape), 0, MOST_PSD)


def _check_clock(value: Any, *shapes: tuple[int, ...]) -> None:
    """Raises an InputError if these are no fractions above 0 and up to 1, in one of these shapes."""
    if type(value) is float and value == 1.0 and () in shapes:
        return  # As nearly always.
    check_number("Decision.clock", value, "iuf", (0, 1), *shapes)
    if not np.all(np.asarray(value) > 0):
        raise InputError(f"Decision.clock = {shown(value)}, allowed: above 0, up to 1")


def _check_assignment(state: RoundState, value: Any) -> None:
    *worlds, _, subchannels = state.channel_gain.shape
    check_owners(state, value, (*worlds, subchannels))


def _check_cluster(state: RoundState, value: Any) -> None:
    *worlds, clients, _ = state.channel_gain.shape
    check_range("cluster", check_array("cluster", value, "iu", (*worlds, clients)), 0, clients - 1)


_ARGUMENTS: dict[str, Callable[..., None]] = {
    "plan": check_plan,
    "cut_layer": check_cut_layer,
    "second_cut": check_second_cut,
    "codec": check_codec,
    "precision": check_precision,
    "batch_size": check_batch_size,
    "selected": check_selected,
    "aggregation_ratio": check_ratio,
    "assignment": _check_assignment,
    "cluster": _check_cluster,
    "power_w_per_hz": lambda state, value: check_psd(value, (state.channel_gain.shape[-1],)),
}
"""What is asked of an argument, by its name."""
