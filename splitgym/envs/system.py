"""What does not change during episodes: plans, work, memory and limits of a scenario under a framework."""

from collections.abc import Sequence
from math import prod
from typing import Any

from splitgym import data, frameworks, models
from splitgym.allocation.placement.candidates import candidates
from splitgym.frameworks import Access, Framework, PlanGrid, Program, Workload
from splitgym.frameworks.asynchrony import Asynchrony, check_balancing
from splitgym.frameworks.exchange import WAYS
from splitgym.frameworks.memory import MemoryNeeds
from splitgym.frameworks.payloads import Payloads
from splitgym.frameworks.placed import Placed
from splitgym.frameworks.resources import Resources
from splitgym.frameworks.stores import Stores
from splitgym.models import NetworkCosts, Profile, optimizer_copies
from splitgym.models.measured import on_device
from splitgym.scenario import Scenario, ScenarioError, Task, stations_on_a_subchannel
from splitgym.scenario.devices import Devices, devices_of, read_profile
from splitgym.scenario.quantities import FULL_BITS
from splitgym.types import SystemParameters

MOST_PLANS = 1_000_000
"""Plans that are tabulated where batch sizes are decided, 200 MB."""


def system_of(scenario: Scenario, framework: Framework, network_costs: NetworkCosts | None = None) -> SystemParameters:
    """What stays the same over an episode of a scenario with a framework.

    Args:
        scenario: The world's description.
        framework: Its learning framework.
        network_costs: Of the scenario's network; None: it is built and measured, for which torch is imported.
    """
    check_balancing(scenario, framework)
    _check_delays(scenario, framework)
    _check_reuse(scenario, framework)
    task = scenario.task
    costs = network_costs or _measured(task)
    framework.check_micro_batches(scenario, costs.has_batch_norm)
    at_levels = [costs if level.width == 1.0 else _measured(task, level.width) for level in framework.levels(scenario)]
    payloads, placed = _payloads(scenario, framework, costs), _placed(scenario, framework, costs)
    second_cut = framework.second_cut(scenario, len(costs.profile))
    plans = _plans(scenario, framework, len(costs.profile) - 1, second_cut, payloads, placed)
    on_server = _at_server(scenario, costs.profile)

    def workload_of(profiles: Sequence[Profile]) -> Workload:
        fed_server = framework.has_fed_server
        return Workload.of(on_server, scenario, plans, second_cut, payloads, profiles, fed_server, placed)

    def compiled(of: Workload) -> Program:
        return Program.compile(framework.phases(of), of, framework.access, one_batch, framework.segments)

    workload = workload_of([each.profile for each in at_levels])
    one_batch = costs.has_batch_norm and framework.joint_batch and scenario.training.batch_statistics == "joint"
    program, devices = compiled(workload), devices_of(scenario.clients)
    if devices.profiles:
        of_devices = [compiled(workload_of([each])) for each in _at_devices(scenario, devices, costs.profile)]
        program = program.on_devices(of_devices, devices.device)
    memory = MemoryNeeds.of(scenario, framework, [each.memory for each in (costs, *at_levels)], workload)
    asynchrony = None
    if framework.asynchronous:
        asynchrony = Asynchrony.of(scenario, program, workload, framework.name)
    # What the smallest mini-batch allows all allow.
    smallest = min(scenario.plan.batch_sizes, default=scenario.training.batch_size)
    ratio, labels_known = framework.allowed_ratio(smallest), framework.knows_labels(scenario)
    decides_averaging = framework.decides_averaging(scenario)
    return SystemParameters.of(scenario, workload, program, ratio, labels_known, memory, asynchrony, decides_averaging)


def _measured(task: Task, width: float = 1.0) -> NetworkCosts:
    """What the network of a task costs, with this fraction of its channels."""
    shape, classes = data.dimensions(task.dataset)
    return models.measure(task.model, shape, classes, task.stem, width, task.adapter_rank)


def _at_server(scenario: Scenario, profile: Profile) -> Profile:
    """What the network costs the edge server: FLOPs, or as many as make the seconds that were measured."""
    server = scenario.server
    if server.profile is None:
        return profile
    device = read_profile(server.profile, "server.profile")
    return on_device(profile, device, server.compute_hz, server.cycles_per_flop, "server.profile")


def _at_devices(scenario: Scenario, devices: Devices, profile: Profile) -> list[Profile]:
    """[D] what it costs measured clients."""
    speeds = [devices.client_hz[devices.device.index(d)] for d in range(len(devices.profiles))]
    kappa = scenario.clients.cycles_per_flop
    return [on_device(profile, *each, kappa) for each in zip(devices.profiles, speeds, strict=True)]


def check_calibrated(scenario: Scenario, framework: Framework) -> None:
    """Raises a ScenarioError if the scenario asks for what no surrogate is calibrated for."""
    plan = scenario.plan
    factors: tuple[tuple[str, Any, Any], ...] = (
        ("plan.precisions", list(plan.precisions), [FULL_BITS]),
        ("plan.batch_sizes", list(plan.batch_sizes), []),
        ("training.client_weights", scenario.training.client_weights, "none"),
        ("fed_server.interval_rounds", scenario.fed_server.interval_rounds if framework.has_fed_server else 1, 1),
        ("plan.averaging", plan.averaging if framework.has_fed_server else "fixed", "fixed"),
        ("training.label_balancing", scenario.training.label_balancing, "none"),
        ("training.weigh_by", scenario.training.weigh_by, None),
    )
    for name, value, usual in factors:
        if value != usual:
            raise ScenarioError(
                f"{name} = {value!r} with learner = 'surrogate', which is calibrated for {usual!r}, "
                "allowed: learner = 'train'"
            )


def _check_delays(scenario: Scenario, framework: Framework) -> None:
    """Raises a ScenarioError if what is in flight would have to wait on wires from one step to the next."""
    slow = [link.name for link in scenario.links if link.delay_s > 0]
    if framework.asynchronous and scenario.stations and slow:
        raise ScenarioError(
            f"links, row {slow[0]!r}: delay_s above 0 with rows of stations and framework {framework.name!r}, which is "
            "asynchronous, allowed: 0"
        )


def _check_reuse(scenario: Scenario, framework: Framework) -> None:
    """Raises a ScenarioError if clients would not all send side by side where stations interfere."""
    parallel = framework.access is Access.PARALLEL and not framework.asynchronous
    if stations_on_a_subchannel(scenario) > 1 and not parallel:
        raise ScenarioError(
            f"radio.frequency_reuse = 'universal' with framework {framework.name!r}, whose clients do not send side by "
            "side, allowed: 'coordinated'"
        )


def _plans(
    scenario: Scenario,
    framework: Framework,
    cuts: int,
    second_cut: int | None,
    payloads: Payloads | None,
    placed: Placed | None,
) -> PlanGrid:
    """The plans that a scenario opens, of those that the framework can follow, with cuts behind so many units."""
    chooses_phi = framework.aggregates or framework.prescribe is not None
    decides_second = framework.cuts_twice and scenario.plan.second_cut == "decided"
    codecs = ((),) if payloads is None else payloads.codecs
    without_broadcast = tuple(k for k, each in enumerate(codecs) if not all(codec.shares_gradients for codec in each))
    if framework.prescribe is not None and without_broadcast:
        names = [scenario.plan.codecs[k] for k in without_broadcast]
        raise ScenarioError(
            f"plan.codecs = {names} with framework {framework.name!r}, which prescribes phi, allowed: codecs whose "
            "gradients are the same for all clients"
        )
    by_client = framework.cuts_by_client and scenario.plan.cut_layer == "by-client"
    averages_later = framework.averages_later(scenario)
    if by_client and averages_later:
        raise ScenarioError("plan.cut_layer = 'by-client' with means that are not in every round, allowed: 'common'")
    batch_sizes = scenario.plan.batch_sizes
    if batch_sizes and scenario.plan.batch_size == "by-client" and not framework.batches_by_client:
        raise ScenarioError(f"plan.batch_size = 'by-client' with framework {framework.name!r}, allowed: 'common'")
    largest = max(batch_sizes, default=scenario.training.batch_size)
    if framework.has_tail:
        # One unit at least for the server, and one for the tail.
        cuts = cuts - 1 if decides_second or second_cut is None else second_cut - 1
    plans = PlanGrid(
        cut_layers=cuts,
        row_counts=largest + 1 if chooses_phi else 1,
        second_cuts=cuts if decides_second else 1,
        codecs=len(codecs),
        precisions=len(framework.levels(scenario)),
        cut_by_client=by_client,
        codec_by_client=framework.cuts and framework.prescribe is None and scenario.plan.codec == "by-client",
        precision_by_client=_precision_by_client(scenario, framework),
        codecs_without_broadcast=without_broadcast,
        ways=WAYS if averages_later else 1,
        tails=framework.has_tail,
        batches=largest - batch_sizes[0] + 1 if batch_sizes else 1,
        smallest_batch=min(batch_sizes, default=0),
        batch_by_client=bool(batch_sizes) and scenario.plan.batch_size == "by-client",
        placements=1 if placed is None else len(placed.placements),
    )
    if (count := prod(plans.table_shape)) > MOST_PLANS and batch_sizes:
        raise ScenarioError(
            f"plan.batch_sizes = {list(batch_sizes)}: with the other factors there are {count} plans, allowed: up to "
            f"{MOST_PLANS}, so a smaller range"
        )
    return plans


def _placed(scenario: Scenario, framework: Framework, costs: NetworkCosts) -> Placed | None:
    """The placements to choose from; None: the framework has none.

    Raises:
        ScenarioError: they are not possible in the scenario.
    """
    if not framework.placed:
        return None
    weight_bits = 8 * costs.memory.parameter_bytes
    unit_bits = costs.profile.model_bits + optimizer_copies(scenario.training) * weight_bits
    stores = Stores.of(scenario, costs.profile)
    return Placed(candidates(scenario, costs), unit_bits, Resources.of(scenario), stores)


def _precision_by_client(scenario: Scenario, framework: Framework) -> bool:
    """Whether clients may have precisions of their own: not where several of them train the same weights at a time."""
    alone = framework.prescribe is None and framework.access is not Access.CLUSTERED
    return alone and scenario.plan.precision == "by-client"


def _payloads(scenario: Scenario, framework: Framework, costs: NetworkCosts) -> Payloads | None:
    """What the scenario's codecs make of smashed data; None: these go as they are, or there are none.

    Raises:
        ScenarioError: there is no such codec, or one stands in the list under two names.
    """
    levels = framework.levels(scenario)
    names = scenario.plan.codecs if framework.cuts else ("none",)
    if names == ("none",) and all(level.full for level in levels):
        return None
    codecs = [frameworks.codecs_at(name, levels) for name in names]
    for name, at_precisions in zip(names, codecs, strict=True):
        first = names[codecs.index(at_precisions)]
        if first != name:
            raise ScenarioError(f"plan.codecs: {first!r} and {name!r} are the same, allowed: each one once")
    return Payloads(codecs, costs.features[:-1], costs.tensors)
