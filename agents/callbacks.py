"""What happens beside the learning: reward terms and rounds on TensorBoard, checkpoints in the run folder."""

from collections import defaultdict

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.run_folder import RunFolder

MINIMUM_EPISODES = 5
"""Episodes without which a mean return says little."""


class LogRounds(BaseCallback):
    """Logs means over each rollout: unweighted reward terms, latency and what was decided; for episodes, how they ended."""

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
    """Saves the policy after every rollout as `last`, and as `best` when the mean return of recent episodes is the highest."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def _on_training_start(self) -> None:
        # Kept on the model, so that a resumed run goes on comparing.
        if not hasattr(self.model, "best_mean_return"):
            self.model.best_mean_return = -np.inf

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self.save()

    def _on_training_end(self) -> None:
        self.save()

    def save(self) -> None:
        """Saves now."""
        episodes = self.model.ep_info_buffer or []
        mean_return = float(np.mean([episode["r"] for episode in episodes])) if episodes else -np.inf
        best = len(episodes) >= MINIMUM_EPISODES and mean_return > self.model.best_mean_return
        if best:
            self.model.best_mean_return = mean_return
        self._folder.write(self._folder.last.name, self.model.save)
        if best:
            self._folder.write(self._folder.best.name, self.model.save)
