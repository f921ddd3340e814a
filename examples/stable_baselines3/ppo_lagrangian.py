"""PPO that keeps to a budget: a Lagrangian multiplier weighs costs against the reward.

    python examples/stable_baselines3/ppo_lagrangian.py --steps 300000

The task: reach the target soon, with rounds that miss a deadline no more often than allowed. PPO maximises reward minus
multiplier times cost; the multiplier grows while episodes cost more than allowed, and shrinks while they cost less.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

import splitgym.envs

DEADLINE_S = 2.5


class CostWeighed(VecEnvWrapper):
    """Takes `multiplier` times the cost of a round from its reward."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.multiplier = 0.0
        self.costs: list[float] = []

    def reset(self) -> NDArray[np.float32]:
        """Starts episodes."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """The step, with the cost in the reward; costs are kept for the multiplier."""
        observations, rewards, dones, infos = self.venv.step_wait()
        costs = np.array([info["cost"] for info in infos])
        self.costs.extend(costs.tolist())
        return observations, rewards - self.multiplier * costs, dones, infos


class DualAscent(BaseCallback):
    """Moves the multiplier after each rollout by how much more a round costs than allowed.

    Args:
        env: Whose multiplier it is.
        allowed: Mean cost of a round.
        rate: Step size.
    """

    def __init__(self, env: CostWeighed, allowed: float, rate: float) -> None:
        super().__init__()
        self._env, self._allowed, self._rate = env, allowed, rate

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        """One step of gradient ascent on the dual."""
        mean = float(np.mean(self._env.costs))
        self._env.costs.clear()
        self._env.multiplier = max(self._env.multiplier + self._rate * (mean - self._allowed), 0.0)
        self.logger.record("cost/mean", mean)
        self.logger.record("cost/multiplier", self._env.multiplier)


def evaluate(model: PPO, environments: int = 64, seed: int = 1_000_000) -> tuple[float, float, float]:
    """Mean seconds and rounds of an episode, and the fraction of its rounds that miss the deadline."""
    env = make(environments)
    env.seed(seed)
    observations, ended = env.reset(), np.zeros(environments, bool)
    seconds, rounds, missed = np.zeros((3, environments))
    while not ended.all():
        observations, _, dones, infos = env.step(model.predict(observations)[0])
        for i in np.flatnonzero(~ended):
            rounds[i] += 1
            missed[i] += infos[i]["cost"]
            if dones[i]:
                seconds[i] = infos[i]["elapsed_s"]
        ended |= dones
    return float(seconds.mean()), float(rounds.mean()), float((missed / rounds).mean())


def make(environments: int) -> Any:
    """Environments on the surrogate, with a deadline for every round."""
    return splitgym.envs.SB3VecEnv(
        environments, learner="surrogate", action="priority", budgets={"deadline_s": DEADLINE_S}
    )


def main() -> None:
    """Trains with and without the budget, and prints what both do on held-out seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300_000, help="environment steps of each training")
    parser.add_argument("--allowed", type=float, default=0.05, help="fraction of rounds that may miss the deadline")
    parser.add_argument("--rate", type=float, default=0.3, help="step size of the multiplier")
    options = parser.parse_args()
    for name, rate in (("PPO", 0.0), ("PPO-Lagrangian", options.rate)):
        env = CostWeighed(make(64))
        env.seed(0)
        model = PPO("MlpPolicy", env, n_steps=64, batch_size=512, n_epochs=4, gamma=0.99, learning_rate=1e-3, seed=0)
        untrained = evaluate(model)
        model.learn(options.steps, callback=DualAscent(env, options.allowed, rate))
        print(f"{name}, multiplier {env.multiplier:.2f}:")
        for state, (seconds, rounds, missed) in (("untrained", untrained), ("trained", evaluate(model))):
            print(
                f"  {state}: {seconds:.1f} s, {rounds:.1f} rounds, {100 * missed:.1f} % of them over {DEADLINE_S:g} s"
            )


if __name__ == "__main__":
    main()
