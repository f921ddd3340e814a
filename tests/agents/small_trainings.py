"""Trainings that take a second: the toy, a few rounds, small networks."""

from dataclasses import replace

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv

import splitgym  # noqa: F401 - registers the environment
from agents import algorithms
from agents.training.hyperparameters import Hyperparameters
from agents.training.jobs import Job, train
from agents.training.learner_file import load_learner

SMALL = {
    "ppo": {"n_steps": 16, "batch_size": 32},
    "ppo-equivariant": {"n_steps": 16, "batch_size": 32, "policy_kwargs": {"width": 8}},
    "maskable-ppo": {"n_steps": 16, "batch_size": 32},
    "recurrent-ppo": {"n_steps": 16, "batch_size": 32, "policy_kwargs": {"lstm_hidden_size": 8}},
    "tqc": {"learning_starts": 16, "batch_size": 32, "policy_kwargs": {"net_arch": [8]}},
}


def small(name, learner="surrogate", steps=128, environments=4):
    settings = Hyperparameters.read(algorithms.get(name), learner)
    return replace(settings.changed(**SMALL[name]), least_steps=steps, environments=environments)


def job(folder, name="ppo-equivariant", seed=0, learner="surrogate", scenario="toy", **sizes):
    folder.mkdir(exist_ok=True)
    environment = {
        "scenario": scenario,
        "framework": "epsl",
        "learner": learner,
        "action": algorithms.get(name).actions[0],
        "reward": "gain-latency",
        "device": None,
    }
    return Job(folder, small(name, learner, **sizes), environment, seed, "python train_agent.py")


def trained(folder, name="ppo-equivariant", **options):
    """The folder of a policy that was trained a little."""
    train(job(folder, name, **options))
    return folder


def learner(folder, name):
    """Stable-Baselines3's own object as it was when its training ended."""
    env = DummyVecEnv([lambda: toy(name)])
    model = small(name).model(env, seed=0)
    load_learner(folder / "last.safetensors", model)
    return model


def toy(algorithm, /, scenario="toy", **options):
    """An environment in which that algorithm's policies act."""
    options = {"action": algorithms.get(algorithm).actions[0], **options}
    return gym.make("SplitLearning-v0", scenario=scenario, **options)


def rounds(agent, seed=1, count=5):
    """Observations and actions of some rounds."""
    env = agent.env
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen = []
    for _ in range(count):
        seen.append((observation, agent.act(observation, info)))
        observation, *_, info = env.step(seen[-1][1])
    return seen
