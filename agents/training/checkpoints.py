"""What happens beside the learning: rounds and episodes on TensorBoard, what is kept of the policy."""

import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from splitgym.envs import SB3VecEnv

from .. import policy_file
from ..policy_file import Card
from .learner_file import save_learner
from .run_folder import PolicyFolder, Progress
from .validation import Score, Validation

MINIMUM_EPISODES = 5
"""Episodes without which a mean return says little."""
PROGRESS_S = 0.5
"""Seconds between two savings of how far the training is."""


class LogRounds(BaseCallback):
    """Logs means over each rollout: how episodes ended, and what was decided and spent in each round."""

    def _on_training_start(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)

    def _on_step(self) -> bool:
        """Keeps what the environments said of this step."""
        infos, dones = self.locals["infos"], self.locals["dones"]
        envs = self.training_env.unwrapped
        if isinstance(envs, SB3VecEnv):
            self._rounds(envs.last_round())
        else:
            for info in infos:
                self._rounds(info)
        for info, done in zip(infos, dones, strict=True):
            if done:
                self._values["episode/elapsed_s"].append(info["elapsed_s"])
                self._values["episode/rounds"].append(info["round"])
                self._values["episode/accuracy"].append(info["accuracy"])
                self._values["episode/round_latency_s"].append(info["elapsed_s"] / info["round"])
                self._values["episode/target_missed"].append(float(info["TimeLimit.truncated"]))
        return True

    def _on_rollout_end(self) -> None:
        for name, values in self._values.items():
            self.logger.record(name, float(np.mean(values)))
        self._values.clear()

    def _rounds(self, info: Mapping[str, Any]) -> None:
        """Keeps what was decided in a round, and what it cost; of one environment, or means over several."""
        # An underscore begins the names of what says which environments have a value.
        terms = {f"reward/{name}": value for name, value in info["reward_terms"].items() if not name.startswith("_")}
        rounds = {
            "round/latency_s": info["round_latency_s"],
            "round/participants": info["participants"].sum(-1),
            "round/cut_layer": info["cut_layer"],
            "round/aggregation_ratio": info["aggregation_ratio"],
            "round/energy_j": info["energy_j"],
            "round/traffic_bits": info["traffic_bits"],
        }
        for name, value in (terms | rounds).items():
            self._values[name].append(float(np.mean(value)))


class Checkpoints(BaseCallback):
    """Saves the learner, to go on from, and its policy if that is the best so far.

    Args:
        folder: Where they are saved.
        every: Environment steps between two savings; it happens at the end of a rollout.
        card: Describes the policy, given its learner and its score.
    """

    def __init__(self, folder: PolicyFolder, every: int, card: Callable[[BaseAlgorithm, Score], Card]) -> None:
        super().__init__()
        self._folder, self._every, self._card = folder, every, card

    @abstractmethod
    def _score(self) -> Score | None:
        """How good the policy is now; None: it cannot be told yet."""

    def _on_training_start(self) -> None:
        policy_file.name_card(self._folder.policy)
        self._best = self._folder.cost()
        self._saved_at, self._noted_s = self.num_timesteps, -np.inf

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps - self._saved_at >= self._every:
            trained = self.num_timesteps > getattr(self.model, "learning_starts", 0)
            self._save(self._score() if trained else None)
        elif time.monotonic() - self._noted_s > PROGRESS_S:
            self._note()

    def _on_training_end(self) -> None:
        score = self._score()
        if score is None and self._best is None:
            score = Score(np.inf, {})
        self._save(score)

    def _save(self, score: Score | None) -> None:
        """Saves the learner, and the policy if its score is the best so far."""
        if score is not None and (self._best is None or score.cost < self._best):
            self._best = score.cost
            card = replace(self._card(self.model, score), cost=score.cost)
            policy_file.save(self._folder.policy, self.model.policy, card)
        for name, value in (score.facts if score else {}).items():
            self.logger.record(f"validation/{name}", value)
        save_learner(self._folder.last, self.model)
        self._saved_at = self.num_timesteps
        self._note()

    def _note(self) -> None:
        self._folder.save_progress(Progress(self.num_timesteps))
        self._noted_s = time.monotonic()


class KeepFastest(Checkpoints):
    """Keeps the policy that reaches the target earliest in validation.

    Args:
        folder: As of `Checkpoints`.
        every: Likewise.
        card: Likewise.
        validation: Says how early that is.
        begins_with_it: Whether the policy with which the training begins is validated, too: it may be good already.
    """

    def __init__(
        self,
        folder: PolicyFolder,
        every: int,
        card: Callable[[BaseAlgorithm, Score], Card],
        validation: Validation,
        begins_with_it: bool = False,
    ) -> None:
        super().__init__(folder, every, card)
        self._validation, self._begins_with_it = validation, begins_with_it

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self._begins_with_it and self.num_timesteps == 0:
            self._save(self._score())

    def _score(self) -> Score:
        return self._validation.score(self.model.policy)


class KeepHighestReturn(Checkpoints):
    """Keeps the policy whose recent training episodes had the highest mean return: real rounds are expensive."""

    def _score(self) -> Score | None:
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        if len(returns) < MINIMUM_EPISODES:
            return None
        return Score(-float(np.mean(returns)), {"mean_return": float(np.mean(returns)), "episodes": len(returns)})
