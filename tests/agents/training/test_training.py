"""Training: the same seed is the same policy, alone or beside others; what is saved goes on; the best is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_trainings import job, small, toy, trained
from stable_baselines3.common import base_class
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents
from agents import algorithms
from agents.policy_file import Card
from agents.training import checkpoints, jobs, validation
from agents.training.checkpoints import KeepFastest
from agents.training.hyperparameters import KEYS, Hyperparameters
from agents.training.jobs import derived_seed, train, train_all
from agents.training.learner_file import CheckpointError, steps_done
from agents.training.run_folder import PolicyFolder
from agents.training.validation import Score, Validation
from splitgym.envs import SB3VecEnv
from splitgym.evaluation import HELD_OUT
from splitgym.scenario import build


def steps_of(folder):
    return steps_done(folder / "last.safetensors")


def same_weights(one, other):
    ours, theirs = load_file(one / "policy.safetensors"), load_file(other / "policy.safetensors")
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("policy"))


def test_same_seed_is_the_same_policy_and_another_seed_is_not(policy, tmp_path):
    assert same_weights(policy, trained(tmp_path / "same"))
    assert not same_weights(policy, trained(tmp_path / "other", seed=1))


def test_policies_trained_side_by_side_are_those_trained_alone(policy, tmp_path):
    jobs = [job(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    assert list(train_all(jobs, workers=2))[-1] == [128, 128]
    assert same_weights(policy, tmp_path / "0")
    assert same_weights(trained(tmp_path / "alone", seed=1), tmp_path / "1")


def test_card_says_how_the_policy_came_about(policy):
    card = Card.read(policy / "policy.toml")
    assert (card.algorithm, card.scenario, card.framework, card.action) == (
        "ppo-equivariant",
        "toy",
        "epsl",
        "priority",
    )
    assert (card.learner, card.seed, card.policy) == ("surrogate", 0, {"width": 8})
    assert 0 < card.steps <= 128
    assert card.score["time_to_target_s"] > 0
    assert "torch" in card.versions


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_training_goes_on_from_what_was_saved(name, tmp_path):
    begun = trained(tmp_path / "run", name)
    done, before = steps_of(begun), load_file(begun / "last.safetensors")
    train(job(begun, name, steps=2 * done))
    assert steps_of(begun) == PolicyFolder(begun).progress().steps == 2 * done
    after = load_file(begun / "last.safetensors")
    assert after.keys() == before.keys()
    assert any(not torch.equal(before[key], value) for key, value in after.items() if key.startswith("policy/"))


def test_a_training_may_start_from_a_saved_policy_of_another_number_of_clients(policy, tmp_path):
    other = build("toy", {"clients": {"count": 3}})
    train(replace(job(tmp_path / "other", scenario=other), start=policy / "policy"))
    began, saved = load_file(tmp_path / "other" / "initial.safetensors"), load_file(policy / "policy.safetensors")
    assert began.keys() == saved.keys()
    assert all(torch.equal(began[name], saved[name]) for name in saved)


def test_finished_training_is_not_repeated(policy, monkeypatch):
    monkeypatch.setattr(
        algorithms.get("ppo-equivariant").learner_class, "learn", lambda *_, **__: pytest.fail("learns")
    )
    train(job(policy))


def longer(folder, **options):
    return job(folder, steps=256, **options)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: b"no checkpoint", "is broken"),
        (lambda content: content[:3000], "is broken"),
        (lambda content: content.replace(b"num_timesteps", b"num_timestepz"), "lacks 'num_timesteps'"),
        (lambda content: content.replace(b'num_timesteps\\": ', b'num_timesteps\\":-'), "num_timesteps is -128"),
        (lambda content: content.replace(b"policy/log_std", b"policy/log_stt"), "log_std"),
        (lambda content: content[:-8] + np.array([np.nan] * 2, np.float32).tobytes(), "is not finite"),
    ],
)
def test_broken_checkpoint_is_one_clear_error(policy, tmp_path, damage, words):
    (tmp_path / "last.safetensors").write_bytes(damage((policy / "last.safetensors").read_bytes()))
    with pytest.raises(CheckpointError, match=r"last\.safetensors") as caught:
        train(longer(tmp_path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checkpoint_of_other_spaces_is_one_clear_error(policy, tmp_path):
    (tmp_path / "last.safetensors").write_bytes((policy / "last.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="its observation is 'Box"):
        train(longer(tmp_path, scenario="iot"))


def test_training_validation_and_comparison_have_seeds_of_their_own():
    seeds = {derived_seed(seed, steps) for seed in range(200) for steps in (0, 10**5, 10**6)}
    assert len(seeds) > 590
    assert 0 <= min(seeds) <= max(seeds) < jobs.TRAINING_SEEDS
    most = max(
        Hyperparameters.read(a, learner).environments for a in algorithms.ALGORITHMS.values() for learner in KEYS
    )
    assert jobs.TRAINING_SEEDS + most <= validation.SEEDS
    assert validation.SEEDS + validation.EPISODES <= HELD_OUT


def test_validation_is_the_episodes_of_the_single_environment(policy):
    """Independent: one environment after the other, through `agents.make`."""
    environment = {"scenario": "toy", "learner": "surrogate", "action": "priority"}
    agent = agents.make("ppo-equivariant", toy("ppo-equivariant", learner="surrogate"), policy=policy)
    got = Validation(algorithms.get("ppo-equivariant"), environment, episodes=5).time_to_target_s(agent.policy)
    for i in range(5):
        observation, info = agent.env.reset(seed=validation.SEEDS + i)
        ended = missed = False
        while not (ended or missed):
            observation, _, ended, missed, info = agent.env.step(agent.act(observation, info))
        assert got[i] == (np.inf if missed else info["elapsed_s"])


def test_an_episode_that_misses_the_target_counts_with_the_budget(monkeypatch):
    environment = {"scenario": "toy", "learner": "surrogate", "action": "schedule"}
    measure = Validation(algorithms.get("ppo"), environment, episodes=2)
    monkeypatch.setattr(measure, "time_to_target_s", lambda _: np.array([5.0, np.inf, 7.0, np.inf]))
    score = measure.score(None)
    assert score.cost == score.facts["time_to_target_s"] == (5 + 20 + 7 + 20) / 4
    assert score.facts["reached"] == 0.5


def test_the_best_policy_of_a_training_is_kept(tmp_path, monkeypatch):
    """Costs are made up: the second of the measurements is the best, also after going on."""
    costs = iter([9.0, 3.0, 5.0, 4.0, *[8.0] * 9])
    monkeypatch.setattr(KeepFastest, "_score", lambda _: Score(cost := next(costs), {"made_up": cost}))
    monkeypatch.setattr(jobs, "VALIDATIONS", 4)
    folder = trained(tmp_path / "run", steps=256)
    assert Card.read(folder / "policy.toml").score == {"made_up": 3.0}
    train(job(folder, steps=512))
    assert Card.read(folder / "policy.toml").score == {"made_up": 3.0}
    assert PolicyFolder(folder).cost() == 3.0


def test_real_training_keeps_the_policy_of_the_highest_return(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "MINIMUM_EPISODES", 1)
    folder = trained(tmp_path / "run", learner="train", environments=1, steps=128)
    score = Card.read(folder / "policy.toml").score
    assert score["mean_return"] == -PolicyFolder(folder).cost()


def test_worker_that_is_killed_ends_real_training(tmp_path, monkeypatch):
    def killing(makers, **options):
        vec_env = SubprocVecEnv(makers, **options)
        vec_env.processes[1].kill()
        return vec_env

    monkeypatch.setattr(jobs, "SubprocVecEnv", killing)
    with pytest.raises((EOFError, ConnectionError)):
        trained(tmp_path / "run", learner="train", environments=2)


def logged(folder):
    (events,) = (folder / "tensorboard").rglob("events.out.tfevents*")
    log = EventAccumulator(str(events.parent))
    log.Reload()
    return {tag: log.Scalars(tag) for tag in log.Tags()["scalars"]}


def test_tensorboard_shows_reward_terms_and_rounds_of_real_training(tmp_path):
    log = logged(trained(tmp_path / "run", learner="train", environments=1))
    assert {f"reward/{name}" for name in ("accuracy_gain", "latency", "energy", "target_reached")} <= log.keys()
    assert {"round/latency_s", "round/energy_j", "round/participants"} <= log.keys()
    latency = {tag: log[tag][0].value for tag in ("reward/latency", "round/latency_s")}
    # The term is minus the share of the toy's budget of 20 s.
    assert latency["reward/latency"] == pytest.approx(-latency["round/latency_s"] / 20, rel=1e-5)
    assert log["round/latency_s"][0].step == 16


def test_tensorboard_shows_episodes_and_validation_on_the_surrogate(tmp_path):
    log = logged(trained(tmp_path / "run", steps=512))
    assert {"rollout/ep_rew_mean", "validation/time_to_target_s", "validation/reached"} <= log.keys()
    assert {f"round/{name}" for name in ("energy_j", "participants", "cut_layer", "aggregation_ratio")} <= log.keys()
    # Of the toy's two clients and two cut layers.
    assert all(0 < entry.value <= 2 for entry in log["round/participants"])
    assert all(1 <= entry.value <= 2 for entry in log["round/cut_layer"])
    assert all(0 < entry.value <= 20 for entry in log["validation/time_to_target_s"])


# Settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", KEYS)
@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_settings_that_are_shipped_can_be_read_and_written(name, learner, tmp_path):
    settings = Hyperparameters.read(algorithms.get(name), learner)
    settings.write(tmp_path / "settings.yml", learner)
    assert Hyperparameters.read(algorithms.get(name), learner, tmp_path / "settings.yml") == settings


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("cannot be read",)),
        ("[", ("broken",)),
        ("3", ("broken",)),
        ("SplitLearning: {}", ("lacks 'SplitLearning-v0'",)),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: 1}", ("lacks 'n_timesteps'",)),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: x, n_timesteps: 1}", ("broken", "'x'")),
        ("SplitLearning-v0: {policy: Mlp, n_envs: 1, n_timesteps: 1}", ("policy = 'Mlp', allowed: 'MlpPolicy'",)),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: 1, n_timesteps: 1, gama: 1}", ("'gama'", "mean 'gamma'")),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: 1, n_timesteps: -1}", ("n_timesteps = -1, allowed: whole",)),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: true, n_timesteps: 1}", ("n_envs = True, allowed: whole",)),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: 1.5, n_timesteps: 1}", ("n_envs = 1.5, allowed: whole",)),
        ("SplitLearning-v0: {policy: MlpPolicy, n_envs: 1, n_timesteps: 1, seed: 1}", ("'seed' is no setting",)),
        (
            "SplitLearning-v0: {policy: MlpPolicy, n_envs: 1, n_timesteps: 1, gamma: x}",
            ("gamma = 'x', allowed: numbers",),
        ),
        (
            "SplitLearning-v0: {policy: MlpPolicy, n_envs: 1, n_timesteps: 1, use_sde: 1}",
            ("use_sde = 1, allowed: true",),
        ),
        (f"SplitLearning-v0: {json.dumps({'a': '!!python/object:os.system'})}", ("lack",)),
    ],
)
def test_wrong_settings_are_one_clear_error(tmp_path, content, words):
    path = tmp_path / "settings.yml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r"settings\.yml") as caught:
        Hyperparameters.read(algorithms.get("ppo"), "surrogate", path)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_timesteps": 0}, "n_timesteps = 0, allowed: whole numbers from 1"),
        ({"n_timesteps": 2.5}, "n_timesteps = 2.5, allowed: whole numbers from 1"),
        ({"n_timesteps": float("inf")}, "n_timesteps = inf, allowed"),
        ({"n_envs": -1}, "n_envs = -1, allowed: whole numbers from 1"),
        ({"n_steps": 0}, "n_steps = 0, allowed: whole numbers from 1"),
        ({"n_epochs": 0}, "n_epochs = 0, allowed: whole numbers from 1"),
        ({"learning_rate": 0}, "learning_rate = 0, allowed: a number above 0 and up to 1, or lin_ and such a number"),
        ({"learning_rate": "1e-3"}, "learning_rate = '1e-3', allowed: a number above 0"),
        ({"learning_rate": "lin_0"}, "learning_rate = 'lin_0', allowed"),
        ({"learning_rate": "lin_x"}, "learning_rate = 'lin_x', allowed"),
        ({"clip_range": -0.1}, "clip_range = -0.1, allowed"),
        ({"clip_range": True}, "clip_range = True, allowed"),
        ({"gamma": 5}, "gamma = 5, allowed: numbers from 0 to 1"),
        ({"gamma": None}, "gamma = None, allowed: a value like 0.99"),
        ({"gamma": float("nan")}, "gamma = nan, allowed: numbers from 0 to 1"),
        ({"vf_coef": float("inf")}, "vf_coef = inf, allowed: numbers from 0 to 1e+12"),
        ({"n_steps": "many words"}, "n_steps = 'many words', allowed: whole numbers from 1"),
        ({"n_steps": 2.5}, "n_steps = 2.5, allowed: whole numbers from 1"),
        ({"n_steps": 10**6, "n_envs": 1000}, "1,000,000,000 steps of all environments"),
        ({"target_kl": "low"}, "target_kl = 'low', allowed: numbers from 1e-09"),
        ({"policy_kwargs": [3]}, "policy_kwargs = [3], allowed: values by name"),
        ({"rollout_buffer_class": "x"}, "rollout_buffer_class = 'x', allowed: null"),
    ],
)
def test_settings_that_train_nothing_are_one_clear_error(tmp_path, settings, words):
    path = tmp_path / "settings.yml"
    content = {"policy": "MlpPolicy", "n_envs": 1, "n_timesteps": 64, **settings}
    path.write_text(yaml.safe_dump({"SplitLearning-v0": content}))
    with pytest.raises(ValueError, match=r"settings\.yml") as caught:
        Hyperparameters.read(algorithms.get("ppo"), "surrogate", path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_training_that_ends_before_an_off_policy_algorithm_learns_is_refused():
    """It plays by chance in 16 rounds; the fifth rollout of four rounds is the first to be learnt from."""
    with pytest.raises(ValueError, match="steps = 16 with learning_starts = 16 trains nothing"):
        small("tqc", steps=16)
    assert small("tqc", steps=17).steps == 20


@pytest.mark.parametrize("learner", KEYS)
@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_rl_zoo_never_gets_a_negative_rate_from_settings_that_are_shipped(name, learner):
    """Its rate is start * progress, where progress is 1 - steps / n_timesteps at the end of every rollout."""
    settings = yaml.safe_load(algorithms.get(name).settings.read_text())[KEYS[learner]]
    rollout = settings["n_envs"] * settings.get("n_steps", settings.get("train_freq"))
    steps, progress = 0, []
    while steps < settings["n_timesteps"]:
        steps += rollout
        progress.append(1 - steps / settings["n_timesteps"])
    assert min(progress) >= 0
    assert Hyperparameters.read(algorithms.get(name), learner).steps == settings["n_timesteps"]


# Learning rates ----------------------------------------------------------------------------------------------------

FALLING = {"learning_rate": "lin_0.002"}


@pytest.fixture
def rates(monkeypatch):
    """The learning rates of all updates, as the optimisers get them."""
    seen = []
    update = base_class.update_learning_rate

    def noting(optimizer, rate):
        seen.append(rate)
        update(optimizer, rate)

    monkeypatch.setattr(base_class, "update_learning_rate", noting)
    monkeypatch.setattr(jobs, "VALIDATIONS", 1)
    return seen


def falling(folder, name, steps):
    made = job(folder, name, steps=steps)
    return replace(made, hyperparameters=made.hyperparameters.changed(**FALLING))


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("ppo", 1, [1]),
        ("maskable-ppo", 64, [1]),
        ("recurrent-ppo", 65, [1, 1 / 2]),
        ("ppo-equivariant", 256, [1, 3 / 4, 1 / 2, 1 / 4]),
    ],
)
def test_the_rate_falls_in_equal_steps_from_its_start_and_never_to_zero(name, steps, expected, tmp_path, rates):
    """A rollout is of 4 environments and 16 rounds."""
    train(falling(tmp_path, name, steps))
    assert rates == pytest.approx([0.002 * part for part in expected])
    assert steps_of(tmp_path) == 64 * len(expected)


def test_the_rate_of_an_off_policy_algorithm_falls_likewise(tmp_path, rates):
    """Ten rollouts of four rounds, of which four are by chance; three optimisers."""
    train(falling(tmp_path, "tqc", 40))
    assert sorted(set(rates), reverse=True) == pytest.approx([0.002 * part / 10 for part in (6, 5, 4, 3, 2, 1)])


def test_a_training_that_goes_on_has_the_rates_of_one_that_was_not_stopped(tmp_path, rates):
    train(falling(tmp_path, "ppo", 256))
    whole = list(rates)
    rates.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs.LogRounds, "_on_step", lambda callback: callback.num_timesteps <= 192)
        train(falling(folder(tmp_path / "stopped"), "ppo", 256))
    assert rates == whole[:3]
    train(falling(tmp_path / "stopped", "ppo", 256))
    assert rates == whole


def folder(path):
    path.mkdir()
    return path


def test_other_schedules_fall_likewise():
    settings = small("ppo", steps=200).changed(clip_range="lin_0.2", clip_range_vf=None)
    model = settings.model(DummyVecEnv([lambda: toy("ppo")]), seed=0)
    # Four rollouts of 64.
    assert [model.clip_range(left) for left in (0.75, 0.5, 0.25, 0.0)] == pytest.approx([0.2, 0.15, 0.1, 0.05])


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_one_rollout_trains(name, tmp_path, monkeypatch):
    """The card says by how much; independently: against a learner of the same seed that has learnt nothing."""
    monkeypatch.setattr(jobs, "VALIDATIONS", 1)
    made = falling(tmp_path, name, 17 if name == "tqc" else 1)
    train(made)
    assert made.hyperparameters.updates == (5 if name == "tqc" else 1)
    kept, card = load_file(tmp_path / "policy.safetensors"), Card.read(tmp_path / "policy.toml")
    env = SB3VecEnv(4, scenario="toy", learner="surrogate", action=made.environment["action"])
    before = made.hyperparameters.model(env, derived_seed(0, 0)).policy.state_dict()
    change = max(float((kept[key] - before[key]).abs().max()) for key in kept)
    assert card.largest_change == change > 1e-5
    assert (card.training_steps, card.torch_threads) == (made.hyperparameters.steps, 1)


def test_an_off_policy_algorithm_keeps_nothing_from_before_it_learnt(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "VALIDATIONS", 30)
    train(job(tmp_path, "tqc", steps=40))
    card = Card.read(tmp_path / "policy.toml")
    assert card.steps > 16
    assert card.largest_change > 0


def test_a_training_without_its_initial_weights_does_not_say_how_much_changed(tmp_path):
    trained(tmp_path, steps=64)
    (tmp_path / "initial.safetensors").unlink()
    (tmp_path / "policy.safetensors").unlink()
    train(job(tmp_path, steps=128))
    assert Card.read(tmp_path / "policy.toml").largest_change is None
