"""What happens beside the learning: reward terms and rounds on TensorBoard, checkpoints in the run folder."""

from collections import defaultdict

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.run_folder import RunFolder

MINIMUM_EPISODES = 5
"""Episodes without which a mean return says little."""


class LogRounds(BaseCallback):
    """Logs means over each rollout: reward terms, latency, what was decided, and how episodes ended."""

    def _on_rollout_start(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)

    def _on_step(self) -> bool:
        for info, done in zip(self.locals["infos"], self.locals["dones"], strict=True):
            for name, value in info["reward_terms"].items():
                self._values[f"reward/{name}"].append(value)
            self._values["round/latency_s"].append(info["round_latency_s"])
            self._values["round/participants"].append(float(info["participants"].sum()))
            self._values["round/cut_layer"].append(info["cut_layer"])
            self._values["round/aggregation_ratio"].append(info["aggregation_ratio"])
            self._values["round/energy_j"].append(info["energy_j"])
            if done:
                self._values["episode/elapsed_s"].append(info["elapsed_s"])
                self._values["episode/rounds"].append(info["round"])
                self._values["episode/accuracy"].append(info["accuracy"])
        return True

    def _on_rollout_end(self) -> None:
        for name, values in self._values.items():
            self.logger.record(name, float(np.mean(values)))


class Checkpoints(BaseCallback):
    """Saves the policy after every rollout as `last`, and as `best` if recent episodes had the highest mean return."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def _on_training_start(self) -> None:
        self._best_return = self._folder.best_return()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._save()

    def _on_training_end(self) -> None:
        self._save()

    def _save(self) -> None:
        self._folder.write(self._folder.last.name, self.model.save)
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        if len(returns) >= MINIMUM_EPISODES and np.mean(returns) > self._best_return:
            self._best_return = float(np.mean(returns))
            self._folder.write(self._folder.best.name, self.model.save)
            self._folder.save_best_return(self._best_return, self.num_timesteps)
