"""The real learner: split training in PyTorch, round by round."""

from dataclasses import fields, replace
from math import log, nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitgym.arrays import Ints
from splitgym.frameworks import Access, Framework, aggregated_rows, get
from splitgym.frameworks.asynchrony import check_balancing
from splitgym.frameworks.class_gaussians import ClassGaussians
from splitgym.frameworks.codecs import Codec, codecs_at
from splitgym.frameworks.codecs.floats import NONE
from splitgym.frameworks.exchange import IN_EVERY_ROUND, Exchange, ends_with_mean
from splitgym.frameworks.narrow import Narrow
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.placements import Placement
from splitgym.frameworks.resources import Resources
from splitgym.frameworks.round_batch import RoundBatch, Traffic
from splitgym.learning.accuracy import Evaluator
from splitgym.learning.allowed import Allowed
from splitgym.learning.augmentation import random_symmetries
from splitgym.learning.batches import BatchOrder
from splitgym.learning.device import check_precision, training_device
from splitgym.learning.memory import keep_freed_memory
from splitgym.learning.mixing import Mixing
from splitgym.learning.rates import rate_factor
from splitgym.learning.start import Start, start
from splitgym.learning.weights import ClientWeights
from splitgym.scenario import Scenario, ScenarioError, build
from splitgym.types import Decision, Flights, RoundOutcome


class Learner:
    """Trains a scenario's network with a framework on the scenario's data, for real.

    Args:
        scenario: Task and training settings; a scenario, its preset name, or the path of a TOML file.
        framework: Name of a framework, or one.
        seed: Determines split, partition, initial weights and the order of the mini-batches.
        device: Where to train; default: cuda if there is one, else cpu.

    Attributes:
        scenario: Of the cell.
        seed: As above.
        class_counts: [C, K] training samples of each client and class; of text characters.
        data_share: [C] share of all training samples; sums to 1.
        samples: [C] training samples of each client.
        outcome: What the last round taught.
        moved_bits: Bits of units that servers handed over to each other before the last round.
        traffic_bits: Bits handed over in the last round, by the name of the resource that carried them; none in one
            that was not finite.

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
        self.scenario = scenario = build(scenario)
        self.framework = get(framework) if isinstance(framework, str) else framework
        self.device = training_device(device)
        self._training = scenario.training
        check_precision(self._training.precision, self.device)
        check_balancing(scenario, self.framework)
        keep_freed_memory()
        self._evaluate_every = scenario.task.evaluate_every
        self._rounds = 0
        self._losses: list[float] = []
        self.seed = seed
        begun = start(scenario, seed)
        self._keep_data(scenario, begun)
        network, classes, shape = begun.network, len(begun.dataset.classes), begun.dataset.input_shape
        self.framework.check_micro_batches(scenario, network.has_batch_norm)
        # Pooling of small images is several times faster in this format on a CPU.
        self._levels = self.framework.levels(scenario)
        self._narrow = [Narrow.of(network, shape, width) if width < 1.0 else None for _, width in self._levels]
        network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._augments = scenario.task.augmentation == "symmetries"
        self._chance = begun.chance
        names = scenario.plan.codecs if self.framework.cuts else ("none",)
        self._codecs: list[list[Codec]] = [codecs_at(name, self._levels) for name in names]
        self._allowed = Allowed(self.framework, scenario, len(network), self._codecs)
        self._weights = ClientWeights(self.data_share, scenario.training, self._allowed.batch_by_client)
        self._interval = scenario.fed_server.interval_rounds
        self._averages_later = self.framework.averages_later(scenario)
        self._exchange = IN_EVERY_ROUND
        if self.framework.has_fed_server:
            self._exchange = Exchange.of(scenario, Resources.of(scenario))
        self.nodes = Nodes(
            network,
            len(self._orders),
            scenario.training,
            self.framework.segments_between_means(scenario),
            self.framework.second_cut(scenario, len(network)),
            self._codecs[0][0],
        )
        own = self.nodes, self._weights, self.data_share
        self._mixing = Mixing(*own, scenario) if self.nodes.fetches else None
        self._gaussians = ClassGaussians(classes) if self._training.label_balancing == "generated" else None
        self._level_of = np.zeros(len(self._orders), np.int64)
        if not all(level.full for level in self._levels):
            _check_low_precision(scenario)
            for node in (*self.nodes.clients, *self.nodes.tails):
                node.chance = self._chance
            self._compute_with(self._level_of)
        self.outcome = self._untrained(classes)
        self.traffic_bits: dict[str, int] = {}
        self.moved_bits = 0

    def _keep_data(self, scenario: Scenario, begun: Start) -> None:
        """Keeps the data set, each client's part of it, and an order of mini-batches."""
        dataset, parts = begun.dataset, begun.parts
        self._images, self._labels = self._on_device(dataset.train_images, dataset.train_labels)
        measured, classes = slice(None, scenario.task.evaluation_samples), len(dataset.classes)
        self.evaluator = Evaluator(
            *self._on_device(dataset.test_images[measured], dataset.test_labels[measured]), classes
        )
        labels = [dataset.train_labels[part].ravel() for part in parts]
        self.class_counts = np.array([np.bincount(own, minlength=classes) for own in labels])
        self.samples = np.array([len(part) for part in parts])
        self.data_share = self.samples / self.samples.sum()
        self._orders = [BatchOrder(part, own) for part, own in zip(parts, begun.orders, strict=True)]

    def round(
        self, decision: Decision, flights: Flights | None = None, placement: Placement | None = None
    ) -> RoundOutcome:
        """Trains one round with the clients that the decision selects.

        Args:
            decision: Of one world; its cut layer, selection, clusters and aggregation ratio matter here.
            flights: When clients were back and began in the step, with an asynchronous framework, of which a round is
                the update at the step's end; None: all that take part begin the round, and are back at its end.
            placement: Of the servers, with a path of them; None: as before.

        Returns:
            What the round taught; also kept as `outcome`.

        Raises:
            ValueError: the decision does not fit the network or the number of clients, or has an aggregation ratio
                that the framework does not allow.
        """
        held = int(self.nodes.client_cut_layer.max()) if self._averages_later else 0
        self._allowed.check(decision, len(self._orders), self.prescribed_ratio, held)
        # Without this a GPU may add up in another order every time.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self._round(decision, flights, placement)

    @property
    def samples_left(self) -> Ints:
        """[C] samples that each client has not trained on yet since it last began with all of them."""
        return np.array([order.left for order in self._orders])

    @property
    def prescribed_ratio(self) -> float:
        """Aggregation ratio that the framework prescribes for the next round; NaN: whoever decides may choose it."""
        return self.outcome.prescribed_ratio

    def state_dict(self) -> dict[str, Any]:
        """Everything that rounds change, as tensors and plain values (`torch.load(weights_only=True)` reads them).

        A learner of the same scenario, framework and seed that loads it goes on to the bit as this one would, on the
        same machine with as many torch threads.
        """
        plain: dict[str, Any] = {f.name: getattr(self.outcome, f.name) for f in fields(self.outcome)}
        return {
            "rounds": self._rounds,
            "losses": list(self._losses),
            "nodes": self.nodes.state_dict(),
            "levels": self._level_of.tolist(),
            "codecs": [self._index_of(codec) for codec in self.nodes.codecs],
            "orders": [order.state_dict() for order in self._orders],
            "chance": self._chance.get_state(),
            "weights": self._weights.state_dict(),
            "mixing": self._mixing and self._mixing.state_dict(),
            "gaussians": self._gaussians and self._gaussians.state_dict(),
            "outcome": {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in plain.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self._rounds, self._losses = state["rounds"], list(state["losses"])
        self.nodes.load_state_dict(state["nodes"])
        self.nodes.codecs = [self._codecs[codec][precision] for codec, precision in state["codecs"]]
        self._compute_with(np.array(state["levels"], np.int64))
        for order, saved in zip(self._orders, state["orders"], strict=True):
            order.load_state_dict(saved)
        self._chance.set_state(state["chance"])
        self._weights.load_state_dict(state["weights"])
        if self._mixing is not None:
            self._mixing.load_state_dict(state["mixing"])
        if self._gaussians is not None:
            self._gaussians.load_state_dict(state["gaussians"])
        arrays: dict[str, Any] = {
            k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in state["outcome"].items()
        }
        self.outcome = replace(self.outcome, **arrays)

    def _round(self, decision: Decision, flights: Flights | None, placement: Placement | None) -> RoundOutcome:
        """Trains a round that has been checked; its outcome."""
        self._rounds += 1
        participants = tuple(int(i) for i in np.flatnonzero(decision.selected))
        taught: RoundBatch | None = None
        finite, traffic = True, Traffic()
        self.moved_bits = 0
        if self._mixing is not None:
            began = self._mixing.begin(decision, flights, traffic)
            self._level_of = np.where(began, decision.precision, self._level_of)
        if participants:
            self._take_up(participants, decision)
            cut_layer = np.asarray(decision.cut_layer)
            exchange = self._exchange_of(decision)
            second_cut = self._allowed.second_cut(decision)
            self.moved_bits = 8 * self.nodes.move_cut(cut_layer, participants, self.data_share, second_cut, placement)
            self.nodes.scale_rates(rate_factor(self._training, self._rounds))
            round_batch = replace(self._exercise(participants, decision, traffic), exchange=exchange)
            finite = self.framework.train(self.nodes, round_batch)
            taught = round_batch if finite else None
        if self._mixing is not None:
            self._mixing.end(participants, taught is not None, flights is None, traffic)
        if taught is not None:
            self._weights.count(participants)
        self.traffic_bits = dict(+traffic.bits) if finite else {}
        self.outcome = self._look(taught, finite)
        return self.outcome

    def _on_device(self, images: NDArray[np.float32], labels: Ints) -> tuple[torch.Tensor, torch.Tensor]:
        on_device = torch.from_numpy(images).to(self.device)
        return on_device.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels).to(self.device)

    def _untrained(self, classes: int) -> RoundOutcome:
        """What is known before the first round; no client has a loss yet, so all have that of guessing, ln(classes)."""
        return RoundOutcome(
            **self._measure(),
            loss=log(classes),
            client_loss=np.full(len(self._orders), log(classes)),
            cut_layer=0,
            client_cut_layer=self.nodes.client_cut_layer,
            client_second_cut=self.nodes.client_second_cut,
            trained=False,
            finite=True,
            evaluated=True,
            evaluation_samples=len(self.evaluator),
            prescribed_ratio=self._next_ratio(),
            generated_rows=0,
        )

    def _exercise(self, participants: tuple[int, ...], decision: Decision, traffic: Traffic) -> RoundBatch:
        """Draws the mini-batches of the participants; `traffic`: to be filled."""
        sizes, steps = self._allowed.batch_sizes(decision)[list(participants)], self.framework.steps(self._training)
        b, counts = int(sizes.max()), tuple((sizes * steps).tolist())
        drawn = [self._orders[i].draw(count) for i, count in zip(participants, counts, strict=True)]
        rows = np.stack([np.resize(own, b * steps) for own in drawn])
        index = torch.from_numpy(rows).to(self.device)
        images = self._images[index]
        return RoundBatch(
            participants=participants,
            weights=torch.tensor(self._weights.of(participants, sizes), dtype=self._images.dtype, device=self.device),
            images=random_symmetries(images, self._chance) if self._augments else images,
            labels=self._labels[index],
            aggregated_rows=int(aggregated_rows(float(decision.aggregation_ratio), b)),
            losses=torch.zeros(len(participants), device=self.device),
            slots=self._slots(participants, decision),
            traffic=traffic,
            codecs=self._codecs_of(participants),
            steps=steps,
            sizes=counts if len(set(counts)) > 1 else None,
            chance=self._chance,
            gaussians=self._gaussians,
        )

    def _exchange_of(self, decision: Decision) -> Exchange:
        """Which models go down and up, before the cut is moved."""
        if not self._averages_later:
            return self._exchange
        fetched = not self.nodes.client_cut_layer.any()
        averaged = bool(ends_with_mean(decision.averaging, self._rounds, self._interval))
        return replace(self._exchange, fetched=fetched, averaged=averaged)

    def _take_up(self, participants: tuple[int, ...], decision: Decision) -> None:
        """From now on participants send, compute and answer with the codec and the precision that are decided."""
        codec, precision = (np.broadcast_to(each, len(self._orders)) for each in (decision.codec, decision.precision))
        for i in participants:
            self.nodes.codecs[i] = self._codecs[codec[i]][precision[i]]
        taking_part = list(participants)
        levels = self._level_of.copy()
        levels[taking_part] = precision[taking_part]
        self._compute_with(levels)

    def _compute_with(self, levels: Ints) -> None:
        """From now on clients compute with these levels, [C], indices in the scenario's list of precisions."""
        self._level_of = levels
        for i, level in enumerate(levels):
            for node in self.nodes.at_client(i):
                node.bits, node.narrow = self._levels[level].bits, self._narrow[level]

    def _codecs_of(self, participants: tuple[int, ...]) -> tuple[Codec, ...] | None:
        """[n] the codecs with which participants train; None: all send everything as it is."""
        codecs = tuple(self.nodes.codecs[i] for i in participants)
        return None if all(each is NONE for each in codecs) else codecs

    def _index_of(self, codec: Codec) -> tuple[int, int]:
        """Where it stands in the scenario's lists of codecs and of precisions."""
        return next((place, row.index(codec)) for place, row in enumerate(self._codecs) if codec in row)

    def _slots(self, participants: tuple[int, ...], decision: Decision) -> tuple[tuple[int, ...], ...] | None:
        """Positions among the participants by slot; None if all work together."""
        if self.framework.access is Access.PARALLEL:
            return None
        slot = self.framework.access.slot_of_clients(np.asarray(decision.cluster))[list(participants)]
        return tuple(tuple(int(k) for k in np.flatnonzero(slot == each)) for each in np.unique(slot))

    def _look(self, taught: RoundBatch | None, finite: bool) -> RoundOutcome:
        """The outcome after a round; `taught` is absent if the round trained no client."""
        before = self.outcome
        client_loss, loss = before.client_loss, before.loss
        if taught is not None:
            losses = taught.losses.double().cpu().numpy()
            client_loss = before.client_loss.copy()
            client_loss[list(taught.participants)] = losses
            loss = float(taught.weights.double().cpu().numpy() @ losses)
            self._losses.append(loss)
        evaluated = self._rounds % self._evaluate_every == 0
        return replace(
            before,
            **(self._measure() if evaluated else {}),
            loss=loss,
            client_loss=client_loss,
            cut_layer=self.nodes.cut_layer if self.framework.cuts else 0,
            client_cut_layer=self.nodes.client_cut_layer,
            client_second_cut=self.nodes.client_second_cut,
            trained=taught is not None,
            finite=finite,
            evaluated=evaluated,
            prescribed_ratio=self._next_ratio(),
            generated_rows=self._gaussians.generated if self._gaussians is not None and taught is not None else 0,
        )

    def _next_ratio(self) -> float:
        prescribe = self.framework.prescribe
        return nan if prescribe is None else prescribe(self._losses, self._training)

    def _measure(self) -> dict[str, Any]:
        """What a `RoundOutcome` says of accuracy, measured now."""
        correct, bits = self.evaluator.measured(self.nodes)
        accuracy, balanced = self.evaluator.accuracy(correct), self.evaluator.balanced_accuracy(correct)
        return {
            "accuracy": float(np.average(accuracy, weights=self.samples)),
            "worst_accuracy": float(accuracy.min()),
            "balanced_accuracy": float(np.average(balanced, weights=self.samples)),
            "client_accuracy": accuracy,
            "bits_per_character": float(np.average(bits, weights=self.samples)),
        }


def _check_low_precision(scenario: Scenario) -> None:
    """Raises a ScenarioError if training with few bits has no sense with a setting."""
    training = scenario.training
    for name, value, allowed in (("optimizer", training.optimizer, "sgd"), ("precision", training.precision, "fp32")):
        if value != allowed:
            raise ScenarioError(
                f"training.{name} = {value!r} with plan.precisions = {list(scenario.plan.precisions)}, "
                f"allowed: {allowed!r}"
            )
