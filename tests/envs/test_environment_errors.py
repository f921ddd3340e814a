"""What users get wrong is one line that says what is allowed; nothing is silently cast or swallowed."""

import warnings
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from rollouts import ACTIONS, make

from splitgym import frameworks
from splitgym.allocation import equal_shares
from splitgym.data import DataError
from splitgym.envs import SplitLearningEnv
from splitgym.scenario import ScenarioError
from splitgym.types import Plan


def message(error, call, *arguments, **options):
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scenari": "toy"}, ("'scenari'", "did you mean 'scenario'?")),
        ({"client": {"count": 2}}, ("'client'", "did you mean 'clients'?")),
        ({"rendermode": None}, ("'rendermode'", "did you mean 'render_mode'?")),
        ({"clients": {"cuont": 2}}, ("clients: ", "'cuont'", "did you mean 'count'?")),
        ({"clients": {"count": 0}}, ("clients.count = 0", "greater than or equal to 1")),
        ({"scenario": "ioot"}, ("'ioot'", "did you mean 'iot'?")),
        ({"framework": "eps"}, ("framework = 'eps'", "did you mean 'epsl'?")),
        (
            {"framework": "zzz"},
            ("framework = 'zzz'", f"allowed: {', '.join(sorted(frameworks.names()))} (your own"),
        ),
        (
            {"framework": None},
            ("framework = None", f"allowed: {', '.join(sorted(frameworks.names()))} (your own"),
        ),
        ({"learner": "trian"}, ("learner = 'trian'", "did you mean 'train'?")),
        ({"action": "discreet"}, ("action = 'discreet'", "did you mean 'discrete'?")),
        ({"action": None}, ("action = None", "allowed: continuous, discrete, priority, rule, schedule")),
        ({"reward": "gain-latenci"}, ("reward = 'gain-latenci'", "did you mean 'gain-latency'?")),
        ({"reward": None}, ("reward = None", "gain-latency")),
        ({"render_mode": "human"}, ("render_mode = 'human'", "allowed: None, rgb_array, ansi")),
        ({"device": "cudaa"}, ("device", "'cudaa'")),
        ({"device": "meta"}, ("device = 'meta' is not there",)),
        ({"device": 1.5}, ("device = 1.5", "allowed: the name of a torch device, or None")),
        ({"device": "cudaa", "learner": "surrogate"}, ("device", "'cudaa'")),
        ({"learner": np.array(["train", "x"])}, ("learner = array(", "allowed: surrogate, train")),
        ({"learner": {}}, ("learner = {}", "allowed: surrogate, train")),
        ({"reward": {}}, ("reward = {}", "gain-latency")),
        ({"action": []}, ("action = []", "schedule")),
        ({"render_mode": {}}, ("render_mode = {}", "allowed: None, rgb_array, ansi")),
        ({"render_mode": True}, ("render_mode = True", "allowed: None, rgb_array, ansi")),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_argument_is_a_scenario_error_in_one_line(options, words):
    text = message(ScenarioError, SplitLearningEnv, **{"scenario": "toy", **options})
    assert all(word in text for word in words), text


@pytest.mark.parametrize("options", [{"scenari": "toy"}, {"framework": "eps"}, {"clients": {"cuont": 2}}])
def test_the_message_survives_make(options):
    assert "did you mean" in message(ScenarioError, gym.make, "SplitLearning-v0", **options)


@pytest.mark.parametrize("preset", ["epsl", "edge6g"])
def test_missing_data_is_one_clear_error_at_reset(preset, monkeypatch):
    monkeypatch.delenv("SPLITGYM_DATA", raising=False)
    env = make(preset)
    text = message(DataError, env.reset, seed=0)
    assert "SPLITGYM_DATA" in text
    assert "ham10000" in text
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())


def test_data_folder_without_the_file_names_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("SPLITGYM_DATA", str(tmp_path))
    assert str(tmp_path) in message(DataError, make("epsl").reset)


WRONG = {
    "discrete": {
        "too short": np.zeros(7, int),
        "too long": np.zeros(9, int),
        "a row too many": np.zeros((1, 8), int),
        "too large": np.array([2, 0, 0, 0, 0, 0, 0, 0]),
        "owner too large": np.array([0, 3, 0, 0, 0, 0, 0, 0]),
        "negative": np.array([-1, 0, 0, 0, 0, 0, 0, 0]),
        "not a number": np.full(8, np.nan),
        "endless": np.full(8, np.inf),
        "half": np.full(8, 0.5),
        "nearly one": np.full(8, 0.9999999),
        "a little more than one": np.full(8, 1.0000005),
        "huge real number": np.full(8, 1e30),
        "beyond 64 bits": np.full(8, 2**64 - 1, np.uint64),
        "text": ["1"] * 8,
        "nothing": None,
        "list of nothing": [None] * 8,
        "mapping": {"cut_layer": 1},
        "ragged": [[0], [0, 1], 0, 0, 0, 0, 0, 0],
        "complex": np.full(8, 1j),
    },
    "schedule": {
        "too short": np.zeros(3, int),
        "scalar": 1,
        "phi too large": np.array([0, 1, 1, 5]),
        "half": np.array([0, 0.5, 1, 0]),
        "not a number": np.array([0, np.nan, 1, 0]),
    },
    "priority": {
        "too short": np.zeros(4, np.float32),
        "too large": np.full(5, 1.001, np.float32),
        "not a number": np.full(5, np.nan, np.float32),
    },
    "continuous": {
        "too short": np.zeros(7, np.float32),
        "too long": np.zeros(9, np.float32),
        "too large": np.full(8, 1.001, np.float32),
        "much too large": np.full(8, 1e300),
        "negative": np.full(8, -1.001, np.float32),
        "not a number": np.full(8, np.nan, np.float32),
        "endless": np.full(8, -np.inf),
        "text": ["a"] * 8,
        "nothing": None,
    },
}


@pytest.mark.parametrize(
    ("action", "name"), [(action, name) for action in ACTIONS for name in WRONG[action]], ids=lambda value: value
)
def test_action_outside_the_space_is_a_value_error_that_shows_the_space(action, name):
    env = make(action=action)
    env.reset(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = message(ValueError, env.step, WRONG[action][name])
    assert str(env.action_space) in text
    assert env.state.round == 0


@pytest.mark.parametrize("wrong", [np.full(84, 99), np.full(84, np.nan), np.zeros(83, int)])
def test_message_stays_one_line_for_a_large_space(wrong):
    env = make(radio={"subchannels": 40})
    env.reset(seed=0)
    assert "allowed" in message(ValueError, env.step, wrong)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, list, tuple])
def test_whole_numbers_of_any_kind_are_the_same_action(dtype):
    action = [0, 1, 0, 2, 3, 1, 1, 4]
    env, other = make(), make()
    env.reset(seed=0)
    other.reset(seed=0)
    given = dtype(action) if dtype in (list, tuple) else np.array(action, dtype)
    assert env.step(given)[4]["round_latency_s"] == other.step(np.array(action))[4]["round_latency_s"]


def test_double_precision_in_the_box_is_accepted():
    env = make(action="continuous")
    env.reset(seed=0)
    env.step(np.full(8, 0.3))
    env.step(np.ones(8))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cut_layer", 0),
        ("cut_layer", 3),
        ("cut_layer", 1.7),
        ("cut_layer", None),
        ("assignment", np.array([0, 2])),
        ("assignment", np.array([0, -2])),
        ("assignment", np.array([0])),
        ("assignment", np.array([0.5, 1.0])),
        ("power_w_per_hz", np.array([1e-6, -1e-6])),
        ("power_w_per_hz", np.array([1e-6, np.nan])),
        ("power_w_per_hz", np.array([1e-6])),
        ("selected", np.ones(3, bool)),
        ("selected", np.array([1.0, 1.0])),
        ("aggregation_ratio", 1.5),
        ("aggregation_ratio", -0.1),
        ("aggregation_ratio", float("nan")),
        ("aggregation_ratio", None),
    ],
)
@pytest.mark.parametrize("use", ["play", "encode"])
def test_decision_that_does_not_fit_names_its_field(use, field, value):
    env = make()
    env.reset(seed=0)
    decision = equal_shares(env.state, Plan(1, 0.0), np.ones(2, bool))
    text = message(ValueError, getattr(env, use), replace(decision, **{field: value}))
    assert f"Decision.{field}" in text
    assert env.state.round == 0


@pytest.mark.parametrize("use", ["play", "encode"])
@pytest.mark.parametrize("decision", [None, "x", 3, {}, [1]])
def test_what_is_no_decision_is_refused(use, decision):
    env = make()
    env.reset(seed=0)
    assert message(ValueError, getattr(env, use), decision) == (
        f"decision = {decision!r}, allowed: a splitgym.types.Decision"
    )


@pytest.mark.parametrize("preset", ["toy"])
def test_selection_in_whole_numbers_is_refused_or_means_the_same(preset):
    """Index arrays and masks look alike: 0 and 1 must not be taken for the clients number 0 and 1."""
    env, other = make(preset), make(preset)
    env.reset(seed=0)
    other.reset(seed=0)
    # Client 0 is out but owns a subchannel with more than its budget, which must count for nothing.
    mask = np.array([False, True])
    decision = replace(equal_shares(env.state, Plan(1, 0.0), np.ones(2, bool)), power_w_per_hz=np.array([5e-6, 1e-6]))
    expected = other.play(replace(decision, selected=mask))[4]
    try:
        got = env.play(replace(decision, selected=mask.astype(int)))[4]
    except ValueError as error:
        assert "Decision.selected" in str(error)  # noqa: PT017 - refusing is the other good answer
    else:
        assert got["projected"] == expected["projected"]
        assert got["participants"].dtype == bool


def test_a_framework_that_does_not_aggregate_refuses_phi():
    env = make(framework="psl")
    env.reset(seed=0)
    decision = equal_shares(env.state, Plan(1, 0.5), np.ones(2, bool))
    assert "aggregation_ratio" in message(ValueError, env.play, decision)
    assert env.state.round == 0
