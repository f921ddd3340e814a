"""The real learner: split training in PyTorch, round by round."""

from dataclasses import replace
from math import log

import numpy as np
import torch
from numpy.typing import NDArray

from splitgym import data, models
from splitgym.frameworks import Framework, aggregated_rows, get
from splitgym.frameworks.parties import Exercise, Parties
from splitgym.learning.accuracy import Evaluator
from splitgym.learning.batches import BatchOrder
from splitgym.rounds import Decision, RoundOutcome
from splitgym.scenario import Scenario, ScenarioError, build


def training_device(name: str | torch.device | None) -> torch.device:
    """The torch device of that name; None: cuda if there is one, else cpu.

    Raises:
        ScenarioError: torch has no such device here.
    """
    try:
        return torch.empty(0, device=name or ("cuda" if torch.cuda.is_available() else "cpu")).device
    except (RuntimeError, AssertionError) as error:
        raise ScenarioError(f"device = {str(name)!r} is not there: {str(error).splitlines()[0]}") from error


class Learner:
    """Trains a scenario's network with a framework on the scenario's data, for real.

    Args:
        scenario: Task and training settings; a scenario, its preset name, or the path of a TOML file.
        framework: Name of a framework, or one.
        seed: Determines split, partition, initial weights and the order of the mini-batches.
        device: Where to train; default: cuda if there is one, else cpu.

    Raises:
        DataError: the scenario's data is not to be found; the message says where to get it.
    """

    def __init__(
        self,
        scenario: Scenario | str,
        framework: str | Framework = "epsl",
        seed: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        scenario = build(scenario)
        self.framework = get(framework) if isinstance(framework, str) else framework
        self.device = training_device(device)
        self._training = scenario.training
        self._evaluate_every = scenario.task.evaluate_every
        self._rounds = 0
        rng = np.random.default_rng(seed)
        task = scenario.task
        dataset = data.load(task.dataset, rng, test_fraction=task.test_fraction, train_samples=task.train_samples)
        found, expected = (dataset.input_shape, len(dataset.classes)), data.dimensions(task.dataset)
        if found != expected:
            raise data.DataError(
                f"dataset {task.dataset!r} has (image shape, classes) {found}, but its rounds are timed for {expected}"
            )
        self._images, self._labels = self._on_device(dataset.train_images, dataset.train_labels)
        measured = slice(None, task.evaluation_samples)
        self._evaluator = Evaluator(
            *self._on_device(dataset.test_images[measured], dataset.test_labels[measured]),
        )
        parts = data.partition(
            dataset.train_labels,
            scenario.clients.count,
            task.partition,
            rng,
            dirichlet_alpha=task.dirichlet_alpha,
            shards_per_client=task.shards_per_client,
        )
        self._data_sizes = np.array([len(part) for part in parts])
        self.data_share = self._data_sizes / self._data_sizes.sum()
        self._orders = [BatchOrder(part, own) for part, own in zip(parts, rng.spawn(len(parts)), strict=True)]
        weights = torch.Generator().manual_seed(int(rng.integers(2**63)))
        network = models.build(task.model, dataset.input_shape, len(dataset.classes), weights, stem=task.stem)
        # Pooling of small images is several times faster in this format on a CPU.
        network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._cuts = len(network) - 1
        self.parties = Parties(network, len(parts), scenario.training)
        self.outcome = self._untrained(len(dataset.classes))

    def round(self, decision: Decision) -> RoundOutcome:
        """Trains one round with the clients that the decision selects.

        Args:
            decision: Of one world; its cut layer, selection and aggregation ratio matter here.

        Returns:
            What the round taught; also kept as `outcome`.

        Raises:
            ValueError: the decision does not fit the network or the number of clients, or aggregates where the
                framework does not.
        """
        self._check(decision)
        # Without this a GPU may add up in another order every time.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self._round(decision)

    def _round(self, decision: Decision) -> RoundOutcome:
        self._rounds += 1
        participants = tuple(int(i) for i in np.flatnonzero(decision.selected))
        taught: Exercise | None = None
        finite = True
        if participants:
            self.parties.move_cut(int(decision.cut_layer), participants, self.data_share)
            exercise = self._exercise(participants, float(decision.aggregation_ratio))
            finite = self.framework.train(self.parties, exercise)
            taught = exercise if finite else None
        self.outcome = self._look(taught, finite)
        return self.outcome

    def _on_device(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        on_device = torch.from_numpy(images).to(self.device)
        return on_device.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels).to(self.device)

    def _untrained(self, classes: int) -> RoundOutcome:
        """What is known before the first round; nobody has a loss yet, so all have that of guessing, ln(classes)."""
        accuracy = self._evaluator.client_accuracy(self.parties)
        return RoundOutcome(
            accuracy=float(np.average(accuracy, weights=self._data_sizes)),
            worst_accuracy=float(accuracy.min()),
            loss=log(classes),
            client_loss=np.full(len(accuracy), log(classes)),
            client_accuracy=accuracy,
            cut_layer=0,
            client_cut_layer=self.parties.client_cut_layer,
            trained=False,
            finite=True,
            evaluated=True,
            evaluation_samples=len(self._evaluator),
        )

    def _exercise(self, participants: tuple[int, ...], aggregation_ratio: float) -> Exercise:
        b = self._training.batch_size
        rows = np.stack([self._orders[i].draw(b) for i in participants])
        index = torch.from_numpy(rows).to(self.device)
        share = self.data_share[list(participants)]
        return Exercise(
            participants=participants,
            weights=torch.tensor(share / share.sum(), dtype=self._images.dtype, device=self.device),
            images=self._images[index],
            labels=self._labels[index],
            aggregated_rows=int(aggregated_rows(aggregation_ratio, b)),
            losses=torch.zeros(len(participants), device=self.device),
        )

    def _look(self, taught: Exercise | None, finite: bool) -> RoundOutcome:
        """The outcome after a round; `taught` is absent if the round trained nobody."""
        before = self.outcome
        client_loss, loss = before.client_loss, before.loss
        if taught is not None:
            losses = taught.losses.double().cpu().numpy()
            client_loss = before.client_loss.copy()
            client_loss[list(taught.participants)] = losses
            loss = float(taught.weights.double().cpu().numpy() @ losses)
        evaluated = self._rounds % self._evaluate_every == 0
        accuracy = self._evaluator.client_accuracy(self.parties) if evaluated else before.client_accuracy
        return replace(
            before,
            accuracy=float(np.average(accuracy, weights=self._data_sizes)),
            worst_accuracy=float(accuracy.min()),
            loss=loss,
            client_loss=client_loss,
            client_accuracy=accuracy,
            cut_layer=self.parties.cut_layer,
            client_cut_layer=self.parties.client_cut_layer,
            trained=taught is not None,
            finite=finite,
            evaluated=evaluated,
        )

    def _check(self, decision: Decision) -> None:
        cuts, count = self._cuts, len(self._orders)
        if not 1 <= int(decision.cut_layer) <= cuts:
            raise ValueError(f"Decision.cut_layer = {decision.cut_layer}, allowed: 1..{cuts}")
        if np.shape(decision.selected) != (count,):
            raise ValueError(f"Decision.selected has shape {np.shape(decision.selected)}, allowed: ({count},)")
        highest = 1.0 if self.framework.aggregates else 0.0
        if not 0.0 <= float(decision.aggregation_ratio) <= highest:
            raise ValueError(
                f"Decision.aggregation_ratio = {decision.aggregation_ratio}, "
                f"allowed with framework {self.framework.name!r}: 0..{highest:g}"
            )
