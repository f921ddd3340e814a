"""What is executed: rounds of some frameworks, in which all clients train by one plan."""

import numpy as np

from splitgym.frameworks import Framework, Program, Resource, get
from splitgym.frameworks.codecs import CODECS, codec
from splitgym.frameworks.codecs.top_k import RandomTopK
from splitgym.frameworks.codecs.uniform import Uniform
from splitgym.frameworks.resources import Barrier
from splitgym.scenario import Scenario, ScenarioError

SIDE_BY_SIDE = ("psl", "epsl", "psl-drop", "epsl-pt")
"""Frameworks in which clients keep their units."""
U_SHAPED = ("u-shaped",)
"""Likewise, and the last units as well."""
HIERARCHICAL = ("hierarchical",)
"""Likewise, with a cloud behind the server."""
AVERAGED = ("fl", "sl", "sfl-v1")
"""Frameworks in which models come back from the clients."""
SUPPORTED = (*SIDE_BY_SIDE, *U_SHAPED, *HIERARCHICAL, *AVERAGED)


def check_answers(program: Program, name: str, has_batch_norm: bool) -> None:
    """Refuses frameworks whose server cannot answer one client after the other and train as the simulator does.

    Args:
        program: Of a scenario that shares the band on demand.
        name: Of the framework.
        has_batch_norm: Whether the network has batch norm.

    Raises:
        ScenarioError: the framework is one of these.
    """
    in_pieces = bool(np.any(program.barrier[program.resource == Resource.SERVER] == Barrier.NONE))
    if in_pieces and (name in (*U_SHAPED, *HIERARCHICAL) or (name in SIDE_BY_SIDE and has_batch_norm)):
        raise ScenarioError(
            f"execute: radio.sharing = 'on-demand' with framework = {name!r} and a server that answers clients one by "
            "one, allowed: 'static', or batch norm over the rows of all clients (training.batch_statistics = 'joint')"
        )


def supported(scenario: Scenario, name: str) -> Framework:
    """The framework of that name; nothing of one's own is imported.

    Raises:
        ScenarioError: it, or something in the scenario, is not executed; the message says what is.
    """
    if name not in SUPPORTED:
        raise ScenarioError(f"execute: framework = {name!r}, allowed: {', '.join(SUPPORTED)}")
    plan, task, training = scenario.plan, scenario.task, scenario.training
    for field, value, allowed in (
        ("number of stations", len(scenario.stations), 0),
        ("plan.cut_layer", plan.cut_layer, "common"),
        ("plan.second_cut", plan.second_cut, "fixed"),
        ("plan.codec", plan.codec, "common"),
        ("plan.precisions", list(plan.precisions), [32]),
        ("plan.batch_size", plan.batch_size, "common"),
        ("plan.averaging", plan.averaging, "fixed"),
        ("fed_server.interval_rounds", scenario.fed_server.interval_rounds, 1),
        ("fed_server.node", scenario.fed_server.node, "server"),
        ("family.clients", scenario.family.clients, None),
        ("task.augmentation", task.augmentation, "none"),
        ("training.precision", training.precision, "fp32"),
    ):
        if value != allowed:
            raise ScenarioError(f"execute: {field} = {value!r}, allowed: {allowed!r}")
    for field, value in (("task.model", task.model), ("task.dataset", task.dataset)):
        if ":" in value or value in ("transformer", "kjv"):
            raise ScenarioError(f"execute: {field} = {value!r}, allowed: those of the package for images")
    for each in plan.codecs:
        if each.partition(":")[0] not in CODECS or isinstance(codec(each), Uniform | RandomTopK):
            raise ScenarioError(
                f"execute: plan.codecs has {each!r}, allowed: the package's that draw nothing at random"
            )
    return get(name)
