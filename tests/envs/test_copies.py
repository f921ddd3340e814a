"""Copies of environments, by `copy.deepcopy` and pickle, go on as what they are copies of, and go their own way."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from rollouts import differences, make

from splitgym.envs import SB3VecEnv, SplitLearningVectorEnv

COPIES = {"deepcopy": deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}
SETTINGS = {
    "scenario": "iot",
    "action": "continuous",
    "episode": {"max_rounds": 4},
    "clients": {"dropout_probability": 0.2},
}
MANY = {
    "train": lambda: SplitLearningVectorEnv(3, threads=2, **SETTINGS),
    "surrogate": lambda: SplitLearningVectorEnv(5, threads=3, learner="surrogate", **SETTINGS),
    "one thread": lambda: SplitLearningVectorEnv(5, learner="surrogate", **SETTINGS),
    "next step": lambda: SplitLearningVectorEnv(
        5, threads=2, learner="surrogate", autoreset_mode=AutoresetMode.NEXT_STEP, **SETTINGS
    ),
}


def actions_of(env, count, seed=1):
    drawn = deepcopy(env.action_space)
    drawn.seed(seed)
    return [drawn.sample() for _ in range(count)]


def steps(envs, actions):
    """What they return, with the observations of ends as plain lists."""
    found = []
    for each in actions:
        *numbers, infos = envs.step(each)
        last = infos.pop("final_obs", None)
        found.append([*numbers, infos, None if last is None else list(last)])
    return found


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("kind", MANY)
def test_vector_environments(kind, copied):
    envs = MANY[kind]()
    before, after = np.split(np.array(actions_of(envs, 14)), [5])
    envs.reset(seed=3)
    steps(envs, before)
    copy = COPIES[copied](envs)
    expected = steps(envs, after)
    envs.close()
    assert not differences(steps(copy, after), expected)
    copy.close()


@pytest.mark.parametrize("copied", COPIES)
def test_an_environment_that_was_never_reset_and_one_that_is_closed(copied):
    envs = MANY["surrogate"]()
    assert not differences(COPIES[copied](envs).reset(seed=1), envs.reset(seed=1))
    envs.close()
    assert COPIES[copied](envs).closed


@pytest.mark.parametrize("copied", COPIES)
def test_the_environment_of_stable_baselines(copied):
    envs = SB3VecEnv(4, threads=2, learner="surrogate", **SETTINGS)
    actions = [np.array([one] * 4) for one in actions_of(envs, 12)]
    envs.seed(5)
    envs.reset()
    for action in actions[:3]:
        envs.step(action)
    copy = COPIES[copied](envs)
    for action in actions[3:]:
        (*mine, infos), (*expected, others) = copy.step(action), envs.step(action)
        assert not differences(mine, expected)
        for info in (*infos, *others):
            info.get("episode", {}).pop("t", None)
        assert not differences(infos, others)


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("plan", [{}, {"averaging": "decided"}])
def test_environments_that_show_the_energy_that_is_left_and_when_parts_are_averaged(plan, copied):
    env = make(
        scenario="toy",
        framework="sfl-v1",
        budgets={"energy_j": 1.0},
        fed_server={"interval_rounds": 3},
        plan=plan,
        episode={"max_rounds": 50, "stop_at_target": False},
    )
    names = env.observation_names
    assert {"energy_left", "rounds_since_mean" if plan else "rounds_to_mean"} <= set(names)
    env.reset(seed=4)
    copy = COPIES[copied](env)
    for action in actions_of(env, 4):
        assert not differences(copy.step(action), env.step(action))


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("learner", ["train", "surrogate"])
@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_the_single_environment_and_its_world(learner, copied, render_mode):
    env = make(learner=learner, render_mode=render_mode, **{**SETTINGS, "episode": {"max_rounds": 50}})
    actions = actions_of(env, 6)
    env.reset(seed=4)
    for action in actions[:3]:
        env.step(action)
    copy, world = COPIES[copied](env), COPIES[copied](env.fork())
    for action in actions[3:]:
        world.play(env.decode(action).batch())
        assert not differences(copy.step(action), env.step(action))
        np.testing.assert_array_equal(world.state.client_loss[0], env.state.client_loss)
        if render_mode is not None:
            assert copy.render() == env.render()
