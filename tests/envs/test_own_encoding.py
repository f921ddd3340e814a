"""An encoding of actions from outside of the package, by `module:NAME`."""

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from gymnasium.envs.registration import EnvSpec

import splitgym  # noqa: F401 - registers the environment
from splitgym.allocation import allocate
from splitgym.scenario import ScenarioError
from splitgym.types import Plan

MODULE = '''
from dataclasses import replace
import numpy as np
from splitgym.allocation import allocate
from splitgym.envs.actions import ActionCodec, BoxCodec, MultiDiscreteCodec
from splitgym.envs.actions.components import CutLevels, Discrete, PhiFraction
from splitgym.types import Plan

class Count(Discrete):
    """How many clients."""
    def __init__(self, clients):
        super().__init__((clients,))
    def read(self, entries):
        return {"count": entries[:, 0] + 1}
    def write(self, decision, state):
        return np.array([decision.selected.sum() - 1])

class First(MultiDiscreteCodec):
    """A cut layer, and how many clients: those with the smallest index."""
    def parts(self, scenario, system, framework):
        return CutLevels(system, scenario.clients.count), Count(scenario.clients.count)
    def decide(self, said, state):
        selected = np.arange(state.available.shape[1]) < said["count"][:, None]
        return allocate(state, Plan(said["cut_layer"], said["aggregation_ratio"]), selected)

class Phi(BoxCodec):
    """Only phi, of the cut layer 1 and all clients."""
    def parts(self, scenario, system, framework):
        return (PhiFraction(framework, system.highest_ratio),)
    def decide(self, said, state):
        return allocate(state, Plan(said["cut_layer"], said["aggregation_ratio"]), said["selected"])

class Loud(First):
    """Clients that use the same subchannels with a hundred times the power."""
    def decide(self, said, state):
        decision = super().decide(said, state)
        return replace(decision, power_w_per_hz=100 * decision.power_w_per_hz)

class Nobody(First):
    def decide(self, said, state):
        return None

class OutOfRange(First):
    def decide(self, said, state):
        return replace(super().decide(said, state), assignment=np.full(state.channel_gain[:, 0].shape, 99))

class Forbidden(First):
    def decide(self, said, state):
        return replace(super().decide(said, state), aggregation_ratio=np.ones(len(state.channel_gain)))

class Unfinished(MultiDiscreteCodec):
    pass

NUMBER = 3
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module with encodings, another one in each test."""
    name = tmp_path.name
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def make(action, **options):
    return gym.make("SplitLearning-v0", scenario="iot", learner="surrogate", action=action, **options)


def test_single_environment_plays_what_the_encoding_means(module):
    """Independent: the same decisions, made here and played past the encoding."""
    env, played = make(f"{module}:First"), make("discrete").unwrapped
    assert env.action_space == gym.spaces.MultiDiscrete([env.unwrapped.cut_layers, 8])
    env.reset(seed=4)
    played.reset(seed=4)
    for cut, count in [(1, 3), (2, 8), (1, 1)]:
        *_, info = env.step(np.array([cut - 1, count - 1]))
        selected = np.arange(8) < count
        assert info["selected"].tolist() == selected.tolist()
        *_, expected = played.play(allocate(played.state, Plan(cut), selected))
        assert (info["round_latency_s"], info["loss"]) == (expected["round_latency_s"], expected["loss"])
    decision = played.decode(played.action_space.sample())
    assert env.unwrapped.encode(decision).tolist() == [decision.cut_layer - 1, decision.selected.sum() - 1]


def test_vector_environment_agrees_with_the_single_one(module):
    vector = assert_vector_agrees(3, 3, scenario="iot", learner="surrogate", action=f"{module}:First")
    assert vector.action_masks().all()


def test_what_no_component_says_is_cut_layer_1_with_all_available_clients(module):
    env = make(f"{module}:Phi").unwrapped
    env.reset(seed=0)
    decision = env.decode(np.array([0.0], np.float32))
    assert (decision.cut_layer, decision.aggregation_ratio) == (1, 0.5)
    assert decision.selected.tolist() == env.state.available.tolist()


def test_powers_of_own_encodings_are_kept_within_the_budgets_too(module):
    env = make(f"{module}:Loud").unwrapped
    env.reset(seed=0)
    *_, info = env.step(np.array([0, 7]))
    quiet = make(f"{module}:First").unwrapped
    quiet.reset(seed=0)
    *_, expected = quiet.step(np.array([0, 7]))
    assert info["projected"]
    assert not expected["projected"]


def test_own_encoding_is_found_again_from_json(module):
    env = make(f"{module}:First")
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert type(again.unwrapped.codec()) is type(env.unwrapped.codec())


def test_the_class_itself_may_be_given(module):
    named = make(f"{module}:First").unwrapped
    assert make(type(named.codec())).action_space == named.action_space


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nobody", r"Nobody.decide gave None, allowed: splitgym.types.Decision"),
        ("OutOfRange", r"Decision.assignment\[0, 0\] = 99, allowed: -1 \(unused\) or 0..7"),
        ("Forbidden", r"Decision.aggregation_ratio = 1.0, allowed with this framework: 0$"),
    ],
)
def test_decisions_that_do_not_fit_are_refused_in_one_line(module, name, message):
    env = make(f"{module}:{name}", framework="psl")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message) as error:
        env.step(np.array([0, 7]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["NUMBER", "NONE", "Unfinished", "ActionCodec"])
def test_what_is_no_encoding_is_refused_in_one_line(module, name):
    with pytest.raises(ScenarioError, match=rf"action = '{module}:{name}': module .* has no ActionCodec '{name}'"):
        make(f"{module}:{name}")
