"""What Stable-Baselines3 and its wrappers ask of environments, asked of ours and of single ones in `DummyVecEnv`."""

import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from rollouts import differences, make
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from splitgym.envs import SB3VecEnv

SETTINGS = {
    "scenario": "toy",
    "learner": "surrogate",
    "episode": {"max_rounds": 5, "target_accuracy": 0.5},
    "clients": {"dropout_probability": 0.3},
}


def ours(count=3, action="schedule", **settings):
    return SB3VecEnv(count, action=action, **SETTINGS, **settings)


def theirs(count=3, action="schedule", **settings):
    return DummyVecEnv([lambda: Monitor(make(action=action, **SETTINGS, **settings))] * count)


def begun(envs, seed=3):
    envs.seed(seed)
    envs.reset()
    return envs


def played(envs, rounds, seed=0):
    """What so many rounds of drawn actions gave, without the seconds of a clock."""
    rng, seen = np.random.default_rng(seed), []
    for _ in range(rounds):
        actions = np.stack([rng.integers(0, envs.action_space.nvec) for _ in range(envs.num_envs)])
        observation, reward, done, infos = envs.step(actions)
        ends = [{key: info["episode"][key] for key in "rl"} if "episode" in info else None for info in infos]
        ends = [info and (round(float(info["r"]), 4), int(info["l"])) for info in ends]
        seen.append((observation.copy(), reward, done, ends))
    return seen


def one_line(error, call, words):
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert words in text, text


# Each environment by itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("indices", [0, [2], [2, 0], np.int64(1), (i for i in (1,)), None, [-1]])
def test_reset_of_some_leaves_the_others_alone(indices):
    """As many single environments do, of which some are reset in the middle of their episodes."""
    indices = list(indices) if not isinstance(indices, int | np.integer | None) else indices
    of = [int(indices)] if isinstance(indices, np.integer) else indices
    mine, its = begun(ours()), begun(theirs())
    assert not differences(played(mine, 3), played(its, 3))
    answers, expected = mine.env_method("reset", indices=indices), its.env_method("reset", indices=of)
    assert len(answers) == len(expected)
    assert not differences(answers, expected)
    assert not differences(played(mine, 12), played(its, 12))


def test_reset_of_some_takes_a_seed_for_each():
    mine, its = begun(ours()), begun(theirs())
    arguments = {"seed": 11, "indices": [0, 2]}
    assert not differences(mine.env_method("reset", **arguments), its.env_method("reset", **arguments))
    assert mine.get_attr("np_random_seed") == its.get_attr("np_random_seed") == [11, 4, 11]
    assert not differences(played(mine, 8), played(its, 8))


def test_the_first_reset_may_go_through_the_method_too():
    mine = ours()
    one_line(gym.error.ResetNeeded, lambda: mine.env_method("reset", indices=[1]), "first reset() is of all")
    assert not differences(mine.env_method("reset", seed=7), theirs().env_method("reset", seed=7))


@pytest.mark.parametrize("indices", [None, 1, [2, 0]])
@pytest.mark.parametrize("action", ["schedule", "priority"])
def test_attributes_are_those_of_single_environments(indices, action):
    mine, its = begun(ours(action=action)), begun(theirs(action=action))
    for name in ("action_space", "observation_space", "scenario", "framework", "render_mode", "np_random_seed"):
        assert mine.get_attr(name, indices) == its.get_attr(name, indices), name
    states = [[rng.bit_generator.state for rng in envs.get_attr("np_random", indices)] for envs in (mine, its)]
    assert states[0] == states[1]
    assert len({id(rng) for rng in mine.get_attr("np_random")}) == 3


def test_specification_makes_the_single_environment():
    mine = ours(threads=1)
    for spec in mine.get_attr("spec"):
        env = gym.make(EnvSpec.from_json(spec.to_json())).unwrapped
        assert (env.scenario, env.action_space) == (mine.get_attr("scenario")[0], mine.action_space)
    assert gym.spec("SplitLearning-v0").kwargs == {}


def test_methods_are_attributes_too_each_of_its_own_environment():
    mine = begun(ours())
    masks = mine.env_method("action_masks")
    assert all(
        np.array_equal(method(), mask) for method, mask in zip(mine.get_attr("action_masks"), masks, strict=True)
    )
    before = mine.envs.np_random[0].bit_generator.state
    observation, info = mine.get_attr("reset", 1)[0](seed=8)
    alone = make(action="schedule", **SETTINGS)
    assert not differences((observation, info), alone.reset(seed=8))
    assert mine.envs.np_random[0].bit_generator.state == before


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (AttributeError, lambda e: e.get_attr("num_envs"), "no 'num_envs', allowed: action_masks, action_space"),
        (AttributeError, lambda e: e.get_attr("unwrapped"), "no 'unwrapped'"),
        (AttributeError, lambda e: e.env_method("step", [0]), "no 'step', allowed: action_masks, reset"),
        (AttributeError, lambda e: e.env_method("close"), "no 'close'"),
        (AttributeError, lambda e: e.env_method("scenario"), "no 'scenario'"),
        (AttributeError, lambda e: e.set_attr("scenario", None), "'scenario' cannot be set"),
        (IndexError, lambda e: e.get_attr("scenario", [0, 3]), "indices = [0, 3], allowed: 0..2"),
        (IndexError, lambda e: e.env_method("reset", indices=5), "indices = 5, allowed: 0..2"),
        (IndexError, lambda e: e.env_method("reset", indices=True), "indices = True, allowed: 0..2"),
        (IndexError, lambda e: e.get_attr("spec", np.array([True, False])), "indices = [ True False], allowed: 0..2"),
        (ValueError, lambda e: e.env_method("reset", options={"reset_mask": 1}), "is not for one environment"),
        (ValueError, lambda e: e.set_options([{"a": 1}, {}, {}]), "options['a'] is unknown, allowed: none"),
        (ValueError, lambda _: SB3VecEnv([make]), "allowed: whole numbers"),
        (ValueError, lambda _: make_vec_env("SplitLearning-v0", 2, vec_env_cls=SB3VecEnv), "allowed: whole numbers"),
    ],
)
def test_what_an_environment_does_not_have_is_refused_in_one_line(error, call, words):
    one_line(error, lambda: call(begun(ours())), words)


def test_before_the_first_reset_there_are_no_generators_and_no_masks():
    assert not ours().has_attr("np_random")
    one_line(gym.error.ResetNeeded, lambda: ours().env_method("action_masks"), "call reset() first")


# Masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda envs: envs, VecCheckNan, partial(VecNormalize, norm_obs=False)])
def test_masks_come_through_wrappers(wrap):
    mine, its = begun(wrap(ours())), begun(wrap(theirs()))
    for rounds in range(6):
        assert is_masking_supported(mine)
        np.testing.assert_array_equal(get_action_masks(mine), get_action_masks(its))
        played(mine, 1, rounds), played(its, 1, rounds)


def test_encodings_without_masks_do_not_support_them():
    assert not is_masking_supported(ours(action="priority"))
    assert not ours(action="continuous").has_attr("action_masks")
    one_line(AttributeError, lambda: ours(action="priority").env_method("action_masks"), "no 'action_masks'")


def test_maskable_ppo_learns_and_is_evaluated_on_it():
    envs = ours(action="discrete")
    model = MaskablePPO("MlpPolicy", envs, n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu").learn(48)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = evaluate_masked(model, begun(ours(action="discrete")), 6, return_episode_rewards=True)
    other = evaluate_masked(model, begun(theirs(action="discrete")), 6, return_episode_rewards=True)
    assert own[1] == other[1]
    assert own[0] == pytest.approx(other[0], abs=1e-4)


# Wrappers ----------------------------------------------------------------------------------------------------------


def normalised(envs, **settings):
    return VecNormalize(envs, gamma=0.9, **settings)


WRAPPERS = {
    "none": lambda envs: envs,
    "VecNormalize": normalised,
    "rewards": partial(normalised, norm_obs=False),
    "VecCheckNan": partial(VecCheckNan, raise_exception=True),
    "VecFrameStack": partial(VecFrameStack, n_stack=3),
    "several": lambda envs: VecCheckNan(VecFrameStack(normalised(envs), 2)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrapped_it_steps_like_single_environments_and_is_evaluated_by_its_own_returns(wrap):
    """No warning, and returns that no wrapper has scaled; those of `Monitor` around each single environment."""
    mine, its = begun(wrap(ours())), begun(wrap(theirs()))
    got, expected = played(mine, 14), played(its, 14)
    for (*arrays, ends), (*others, its_ends) in zip(got, expected, strict=True):
        assert ends == its_ends
        for one, other in zip(arrays, others, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    model = PPO("MlpPolicy", mine, n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu").learn(48)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        returns, lengths = evaluate_policy(model, begun(mine), 7, return_episode_rewards=True)
    if isinstance(mine, VecNormalize):
        plain = wrap(theirs())
        vars(plain).update({name: value for name, value in vars(mine).items() if name.endswith("_rms")})
        plain.training = mine.training = False
        returns, lengths = evaluate_policy(model, begun(mine), 7, return_episode_rewards=True)
        its_returns, its_lengths = evaluate_policy(model, begun(plain), 7, return_episode_rewards=True)
        assert lengths == its_lengths
        assert returns == pytest.approx(its_returns, abs=1e-4)
    assert len(returns) == 7
    assert max(lengths) <= 5


def test_returns_of_normalised_rewards_are_those_of_the_environment():
    """Whatever the policy: rewards of `VecNormalize` are a thousand times as large, the returns are not."""
    mine = normalised(ours(), norm_obs=False, clip_reward=np.inf)
    model = A2C("MlpPolicy", mine, seed=0, device="cpu")
    mine.training = False
    mine.ret_rms.var = 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = evaluate_policy(model, begun(mine), 6, return_episode_rewards=True)
    assert scaled == evaluate_policy(model, begun(ours()), 6, return_episode_rewards=True)
    assert max(map(abs, scaled[0])) < 50


def test_it_says_that_its_episodes_are_monitored():
    mine = ours()
    assert mine.env_is_wrapped(Monitor) == [True] * 3
    assert mine.env_is_wrapped(Monitor, [1]) == [True]
    assert mine.env_is_wrapped(gym.wrappers.TimeLimit) == [False] * 3
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        twice = VecMonitor(mine)
    assert not differences(played(begun(twice), 8), played(begun(ours()), 8))


def test_evaluation_beside_learning(tmp_path):
    """`EvalCallback` with statistics that are handed on from the one to the other."""
    learning, evaluated = normalised(ours(), norm_obs=False), normalised(ours(2), norm_obs=False, training=False)
    callback = EvalCallback(evaluated, n_eval_episodes=4, eval_freq=8, log_path=str(tmp_path), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PPO("MlpPolicy", learning, n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu").learn(48, callback)
    saved = np.load(tmp_path / "evaluations.npz")
    assert saved["results"].shape == (2, 4)
    assert evaluated.ret_rms.var == learning.ret_rms.var


def test_off_policy_algorithms_run_on_it():
    model = SAC("MlpPolicy", ours(action="continuous"), learning_starts=6, batch_size=8, seed=0, device="cpu")
    assert model.learn(24).num_timesteps == 24
    assert len(model.ep_info_buffer) > 0


@pytest.mark.parametrize("wrap", [VecMonitor, VecNormalize, VecCheckNan, partial(VecFrameStack, n_stack=2)])
def test_the_vector_environment_of_gymnasium_in_their_wrappers_is_refused_in_one_line(wrap):
    envs = gym.make_vec("SplitLearning-v0", 2, "vector_entry_point", action="schedule", **SETTINGS)
    one_line(TypeError, lambda: wrap(envs), "make splitgym.envs.SB3VecEnv(num_envs, ...)")
