"""Costs against numbers worked out by hand from what `info` says of the rounds."""

import gymnasium as gym
import numpy as np
import pytest

import splitgym  # noqa: F401 - registers the environment
from splitgym.envs import SB3VecEnv
from splitgym.scenario import ScenarioError

BUDGETS = {"energy_j": 4.0, "deadline_s": 5.0, "leak_by_cut": (3.0, 2.0, 1.0), "leak_max": 2.5}


def make(budgets, **arguments):
    return gym.make("SplitLearning-v0", learner="surrogate", action="schedule", budgets=budgets, **arguments)


def test_costs_are_what_goes_beyond_the_budgets():
    env = make(BUDGETS, episode={"stop_at_target": False, "time_budget_s": 1e6})
    _, info = env.reset(seed=1)
    assert info["cost"] == 0.0
    assert info["costs"] == {"energy": 0.0, "deadline": 0.0, "leak": 0.0}
    env.action_space.seed(1)
    spent, seen = 0.0, {"energy": set(), "deadline": set(), "leak": set()}
    for _ in range(30):
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        before, spent = spent, spent + info["energy_j"]
        beyond = max(spent - 4.0, 0.0) - max(before - 4.0, 0.0)
        leaks = info["cut_layer"] == 1 and info["participants"].any()
        costs = info["costs"]
        assert costs["energy"] == pytest.approx(beyond / 4.0, abs=1e-12)
        assert costs["deadline"] == float(info["round_latency_s"] > 5.0)
        assert costs["leak"] == float(leaks)
        assert info["cost"] == pytest.approx(sum(costs.values()))
        left = observation[env.unwrapped.observation_names.index("energy_left")]
        assert left == pytest.approx(max(1 - spent / 4.0, 0.0), abs=1e-6)
        for name, values in seen.items():
            values.add(costs[name] > 0)
        if terminated or truncated:
            break
    assert seen == {name: {False, True} for name in seen}
    _, info = env.reset(seed=1)
    assert info["cost"] == 0.0
    assert env.unwrapped.state.energy_j == 0.0


def test_without_budgets_nothing_costs_and_nothing_is_observed():
    env = make({})
    env.reset(seed=0)
    env.action_space.seed(0)
    _, _, _, _, info = env.step(env.action_space.sample())
    assert info["energy_j"] > 0
    assert info["cost"] == 0.0
    assert "energy_left" not in env.unwrapped.observation_names


def test_vector_environments_have_the_costs_of_single_ones():
    arguments = {"learner": "surrogate", "action": "schedule", "budgets": BUDGETS, "episode": {"max_rounds": 6}}
    vector = gym.make_vec("SplitLearning-v0", num_envs=3, vectorization_mode="vector_entry_point", **arguments)
    singles = [gym.make("SplitLearning-v0", **arguments) for _ in range(3)]
    _, info = vector.reset(seed=5)
    assert (info["cost"] == 0).all()
    for i, env in enumerate(singles):
        env.reset(seed=5 + i)
    vector.action_space.seed(0)
    for _ in range(9):
        actions = vector.action_space.sample()
        _, _, terminated, truncated, infos = vector.step(actions)
        for i, env in enumerate(singles):
            _, _, _, _, info = env.step(actions[i])
            ended = terminated[i] or truncated[i]
            of_step = infos["final_info"] if ended else infos
            assert of_step["cost"][i] == info["cost"]
            assert {name: values[i] for name, values in of_step["costs"].items() if name[0] != "_"} == info["costs"]
            if ended:
                assert infos["cost"][i] == 0.0
                env.reset()


def test_stable_baselines_is_told_the_cost_of_every_round():
    env, of_each = SB3VecEnv(2, learner="surrogate", action="schedule", budgets=BUDGETS), []
    env.seed(5)
    env.reset()
    single = make(BUDGETS)
    single.reset(seed=5)
    env.action_space.seed(0)
    for _ in range(5):
        action = env.action_space.sample()
        *_, infos = env.step(np.array([action, action]))
        of_each.append(infos[0]["cost"])
        assert single.step(action)[-1]["cost"] == infos[0]["cost"]
    assert sum(of_each) > 0


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ({"energy_j": 0.0}, "budgets.energy_j"),
        ({"deadline_s": -1.0}, "budgets.deadline_s"),
        ({"leak_by_cut": (1.0, 2.0, 3.0)}, "leak_max = None"),
        ({"leak_by_cut": (1.0, 2.0), "leak_max": 1.0}, "budgets.leak_by_cut has 2 values, allowed: 3"),
        ({"leak_max": 1.0}, "leak_by_cut = []"),
    ],
)
def test_wrong_budgets_are_named(budgets, said):
    with pytest.raises(ScenarioError, match="budgets") as error:
        make(budgets)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_energy_left_needs_a_budget():
    with pytest.raises(ScenarioError, match=r"allowed: with budgets\.energy_j"):
        gym.make("SplitLearning-v0", learner="surrogate", observation=["standard", "energy_left"])


def test_clients_with_cuts_of_their_own_leak_by_their_own():
    env = make(BUDGETS | {"energy_j": None, "deadline_s": None}, framework="psl", plan={"cut_layer": "by-client"})
    env.reset(seed=3)
    env.action_space.seed(3)
    found = set()
    for _ in range(40):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        leaks = bool(np.any((info["cut_layer"] == 1) & info["participants"]))
        assert info["costs"]["leak"] == leaks
        found.add(leaks)
        if terminated or truncated:
            env.reset()
    assert found == {False, True}
