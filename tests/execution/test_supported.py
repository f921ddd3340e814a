import pytest

from splitgym.execution.supported import SUPPORTED, supported
from splitgym.frameworks import names
from splitgym.scenario import ScenarioError, build


@pytest.mark.parametrize("name", SUPPORTED)
def test_what_is_executed_is_let_through(name):
    assert supported(build("iot"), name).name == name


@pytest.mark.parametrize("name", sorted(set(names()) - set(SUPPORTED)))
def test_another_framework_is_refused_with_what_is_executed(name):
    with pytest.raises(ScenarioError, match=f"framework = '{name}', allowed: psl, epsl"):
        supported(build("iot"), name)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"plan": {"cut_layer": "by-client"}}, "plan.cut_layer = 'by-client', allowed: 'common'"),
        ({"plan": {"second_cut": "decided"}}, "plan.second_cut = 'decided', allowed: 'fixed'"),
        ({"plan": {"precisions": [32, 8]}}, r"plan.precisions = \[32, 8\], allowed: \[32\]"),
        ({"plan": {"codecs": ["none", "uniform-8"]}}, "plan.codecs has 'uniform-8'"),
        ({"plan": {"codecs": ["random-top-k:0.1"]}}, "plan.codecs has 'random-top-k:0.1'"),
        ({"task": {"augmentation": "symmetries"}}, "task.augmentation = 'symmetries', allowed: 'none'"),
        ({"family": {"clients": (4, 8)}}, "family.clients"),
        (
            {"stations": [{"name": "west", "position_m": (0, 0), "node": "server"}]},
            "number of stations = 1, allowed: 0",
        ),
    ],
)
def test_what_a_scenario_has_that_is_not_executed_is_named(sections, words):
    with pytest.raises(ScenarioError, match=words):
        supported(build("iot", sections), "psl")


@pytest.mark.parametrize("field", ["model", "dataset"])
@pytest.mark.parametrize("name", ["psl", "antigravity:FRAMEWORK"])
def test_nothing_of_ones_own_is_imported(field, name):
    with pytest.raises(ScenarioError, match="allowed"):
        supported(build("iot", {"task": {field: "antigravity:PART"}}), name)


def test_no_codec_of_ones_own_is_imported():
    with pytest.raises(ScenarioError, match=r"plan\.codecs"):
        supported(build("iot", {"plan": {"codecs": ["antigravity:CODEC"]}}), "psl")
