"""RLlib's PPO on splitgym, for those who train there; the schedulers of this project are trained by train_agent.py.

python -m venv rllib && rllib/bin/pip install -r examples/rllib/requirements.txt
rllib/bin/python examples/rllib/train.py --iterations 20
"""

import argparse

from ray.rllib.algorithms.ppo import PPOConfig

ENVIRONMENT = "splitgym:SplitLearning-iot-surrogate-schedule-v0"
"""Says which module registers the environment, so that RLlib's workers find it as well."""


def main() -> None:
    """Trains, and prints the mean return after each iteration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=20, help="of PPO")
    parser.add_argument("--steps", type=int, default=4000, help="environment steps of an iteration")
    parser.add_argument("--runners", type=int, default=0, help="processes that step environments; 0: this one does")
    options = parser.parse_args()
    config = (
        PPOConfig()
        .environment(ENVIRONMENT)
        .env_runners(num_env_runners=options.runners)
        .training(train_batch_size_per_learner=options.steps, minibatch_size=250, num_epochs=10, lr=3e-4, gamma=1.0)
        .debugging(seed=1)
    )
    algorithm = config.build_algo()
    for iteration in range(1, options.iterations + 1):
        result = algorithm.train()
        print(f"iteration {iteration}: mean return {result['env_runners']['episode_return_mean']:.3f}", flush=True)
    algorithm.stop()


if __name__ == "__main__":
    main()
