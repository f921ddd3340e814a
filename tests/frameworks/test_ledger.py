"""Who sees what: against a table by hand, and against what the phases send and the training hands over."""

from dataclasses import replace

import pytest

from splitgym.envs.system import system_of
from splitgym.frameworks import Resource, Seen, get, ledger, names
from splitgym.frameworks.segments import SPLIT, Segment, Weights
from splitgym.scenario import ScenarioError, build

INPUTS, LABELS, SMASHED, CUT_GRADIENTS, PARTS, MEAN_PARTS, MEAN_GRADIENTS = Seen
SPLIT_SERVER = {LABELS, SMASHED, CUT_GRADIENTS}
EXPECTED = {
    "centralised": {"server": {INPUTS, LABELS}},
    "fl": {"server": {PARTS}, "client": {MEAN_PARTS}},
    "sl": {"server": {*SPLIT_SERVER, PARTS}, "client": {PARTS}},
    "sfl-v1": {"server": SPLIT_SERVER, "fed server": {PARTS}, "client": {MEAN_PARTS}},
    "sfl-v2": {"server": SPLIT_SERVER, "fed server": {PARTS}, "client": {MEAN_PARTS}},
    "psl": {"server": SPLIT_SERVER},
    "epsl": {"server": SPLIT_SERVER, "client": {MEAN_GRADIENTS}},
    "psl-drop": {"server": SPLIT_SERVER},
    "epsl-pt": {"server": SPLIT_SERVER, "client": {MEAN_GRADIENTS}},
    "cpsl": {"server": {*SPLIT_SERVER, PARTS}, "client": {MEAN_PARTS}},
    "hierarchical": {"server": {SMASHED, CUT_GRADIENTS}, "cloud": SPLIT_SERVER},
    "multi-hop": {"server": SPLIT_SERVER},
    "u-shaped": {"server": {SMASHED, CUT_GRADIENTS}},
    "async-psl": {"server": SPLIT_SERVER},
    "async-sfl": {"server": {*SPLIT_SERVER, PARTS}, "client": {MEAN_PARTS}},
}


@pytest.mark.parametrize("framework", names())
def test_the_ledger_is_what_the_literature_says(framework: str) -> None:
    assert ledger(framework) == EXPECTED[framework]


@pytest.mark.parametrize("framework", [name for name in names() if get(name).has_fed_server])
def test_views_of_edge_server_and_fed_server_are_disjoint(framework: str) -> None:
    views = ledger(framework)
    assert not views["server"] & views["fed server"]
    assert {SMASHED, PARTS} <= views["server"] | views["fed server"]


@pytest.mark.parametrize("framework", names())
def test_what_is_seen_is_what_phases_send(framework: str) -> None:
    """Bits of all plans on each resource, with a fed server in the cloud; of `hierarchical` the cloud is the other."""
    program = system_of(build("toy", {"fed_server": {"node": "cloud"}}), get(framework)).program
    bits = (program.work + program.per_participant).max(0)

    def sent(resource: object, *stages: str) -> bool:
        index = program.resources.index(resource)
        return any(
            bits[k] > 0 and program.resource[k] == index and stage in stages for k, stage in enumerate(program.stages)
        )

    views = ledger(framework)
    at_servers = {node: things for node, things in views.items() if node not in ("client", "fed server")}
    smashed = [node for node, things in at_servers.items() if SMASHED in things]
    assert sent(Resource.UPLINK, "uplink") == bool(smashed)
    assert sent("backhaul", "backhaul_up") == ("cloud" in smashed)
    assert sent(Resource.UPLINK, "model_up") == any(PARTS in things for things in views.values())
    assert sent("backhaul", "fed_up") == ("fed server" in views)
    # Who updates alone fetches alone.
    down = Resource.UNICAST if get(framework).asynchronous else Resource.BROADCAST
    assert sent(down, "model_down") == bool({PARTS, MEAN_PARTS} & views.get("client", frozenset()))
    assert sent(Resource.BROADCAST, "broadcast") == (MEAN_GRADIENTS in views.get("client", frozenset()))


def test_labels_of_which_nobody_is_told_are_private() -> None:
    for name in names():
        hidden = not any(LABELS in things for things in ledger(name).values())
        assert hidden or not get(name).labels_stay
        assert hidden == (name in {"fl", "u-shaped"})


def test_a_framework_of_ones_own_has_its_line() -> None:
    own = replace(
        get("psl"), name="psl-of-a-friend", segments=(replace(SPLIT[0], weights=Weights.AVERAGED), Segment("relay"))
    )
    assert ledger(own) == {"server": {PARTS}, "relay": SPLIT_SERVER, "client": {MEAN_PARTS}}
    with pytest.raises(ScenarioError, match=r"averaged_at = 'fed sever' of a segment, did you mean 'fed server'\?"):
        replace(own, segments=(replace(own.segments[0], averaged_at="fed sever"), Segment("relay")))
    with pytest.raises(ScenarioError, match="'sfl-v1'"):
        ledger("sfl-v11")
