"""Adapters of a frozen decoder, trained by every framework on windows of characters."""

import io
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from books import books  # noqa: F401 - a fixture
from synchronous import SYNCHRONOUS

from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.learning import Learner, start
from splitgym.learning.pretraining import frozen_tensors
from splitgym.models import measure
from splitgym.models.frozen import Frozen
from splitgym.scenario import Scenario, ScenarioError, build
from splitgym.types import Decision

CLIENTS, CUT = 3, 2
RATES = {"optimizer": "sgd", "momentum": 0.0, "client_learning_rate": 0.5, "server_learning_rate": 0.5}


@pytest.fixture(autouse=True)
def untrained_base(books, monkeypatch):  # noqa: F811
    """A base model as it is drawn, and books of random letters."""
    monkeypatch.setattr(start, "take_base_weights", lambda network: None)


def scenario(**training: object) -> Scenario:
    return build(
        "lora",
        {
            "clients": {"count": CLIENTS},
            "radio": {"subchannels": CLIENTS},
            "task": {"train_samples": 60, "evaluation_samples": 8, "evaluate_every": 1},
            "training": {"batch_size": 2, **training},
            "episode": {"round_timeout_s": 1e6, "time_budget_s": 1e6, "max_rounds": 99},
        },
    )


def decision(phi: float = 0.0, cut: int = CUT) -> Decision:
    return Decision(cut, np.arange(CLIENTS), np.full(CLIENTS, 1e-7), np.full(CLIENTS, True), phi, np.array([0, 1, 0]))


def frozen_of(learner: Learner) -> list[torch.Tensor]:
    units = {id(unit): unit for node in learner.nodes.everybody() for unit in node.units}
    layers = [layer for unit in units.values() for layer in unit.modules() if isinstance(layer, Frozen)]
    return [buffer.clone() for layer in layers for buffer in layer.buffers(recurse=False)]


@pytest.mark.parametrize("framework", SYNCHRONOUS)
def test_adapters_alone_learn_and_travel_and_what_travels_is_charged(framework: str) -> None:
    world = World(scenario(switch_round=1), get(framework), device="cpu")
    world.reset([np.random.default_rng(0)], [0])
    (learner,) = world._learner.learners
    cut, phi = (1 if learner.framework.has_tail else CUT), min(0.5, learner.framework.allowed_ratio(2))
    base = sorted({tuple(t.flatten().tolist()) for t in frozen_of(learner)})
    before = [weight.detach().clone() for weight in learner.nodes.server.units[-2].parameters()]
    for _ in range(2):
        ratio = learner.prescribed_ratio if not np.isnan(learner.prescribed_ratio) else phi
        played = world.play(decision(ratio, cut).batch())
        handed_over = sum(learner.traffic_bits.values())
        assert played.cost.traffic_bits[0] == pytest.approx(handed_over, rel=1e-9)
        assert np.isfinite(played.outcome.bits_per_character[0])
    assert sorted({tuple(t.flatten().tolist()) for t in frozen_of(learner)}) == base
    after = list(learner.nodes.server.units[-2].parameters())
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_models_that_travel_are_the_bytes_of_packed_adapters() -> None:
    """FL hands over every A and B: one broadcast, and one upload of each client."""
    learner = Learner(scenario(), "fl", 0, "cpu")
    learner.round(decision())
    packed = io.BytesIO()
    for unit in learner.nodes.server.units:
        for tensor in unit.state_dict().values():
            packed.write(tensor.numpy().tobytes())
    assert learner.traffic_bits["broadcast"] == 8 * packed.tell()
    assert learner.traffic_bits["uplink"] == CLIENTS * 8 * packed.tell()
    assert 8 * packed.tell() == measure("transformer", (1, 1, 64), 63, "7x7", rank=4).profile.model_bits.sum()


@pytest.mark.parametrize("framework", ["psl", "centralised"])
def test_a_round_is_a_step_on_the_mean_loss_of_all_characters(framework: str) -> None:
    """A plain program: everybody begins with the same adapters, so the server's step is that of the weighted mean."""
    learner = Learner(scenario(**RATES), framework, 0, "cpu")
    units = learner.nodes.server.units
    first = CUT if framework == "psl" else 0
    weights = [weight for unit in units[first:] for weight in unit.parameters()]
    before = [weight.detach().clone() for weight in weights]
    seen = []
    train = learner.framework.train

    def look(nodes, round_batch):
        losses = []
        for images, labels in zip(round_batch.images, round_batch.labels, strict=True):
            x = images
            for unit in units:
                x = unit(x)
            characters = [F.cross_entropy(x[row, t], labels[row, t]) for row in range(len(x)) for t in range(64)]
            losses.append(torch.stack(characters).mean())
        mean = (torch.stack(losses) * round_batch.weights).sum()
        seen.append((torch.autograd.grad(mean, weights), [loss.item() for loss in losses]))
        return train(nodes, round_batch)

    learner.framework = replace(learner.framework, train=look)
    outcome = learner.round(decision())
    ((gradients, losses),) = seen
    np.testing.assert_allclose(outcome.client_loss, losses, rtol=1e-5)
    for weight, old, gradient in zip(weights, before, gradients, strict=True):
        torch.testing.assert_close(weight.detach(), old - 0.5 * gradient, rtol=1e-3, atol=1e-6)


def test_bits_per_character_are_the_mean_cross_entropy_of_test_characters() -> None:
    learner = Learner(scenario(), "psl", 0, "cpu")
    begun = start.start(learner.scenario, 0)
    images, labels = begun.dataset.test_images[:8], begun.dataset.test_labels[:8]
    logits = begun.network(torch.from_numpy(images)).detach().double().numpy()
    shifted = logits - logits.max(-1, keepdims=True)
    log2_p = (shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))) / np.log(2)
    expected = -np.take_along_axis(log2_p, labels[..., None], -1).mean()
    assert learner.outcome.bits_per_character == pytest.approx(expected, rel=1e-5)
    assert learner.outcome.accuracy == pytest.approx((logits.argmax(-1) == labels).mean())
    assert learner.outcome.evaluation_samples == labels.size


def test_clients_of_sfl_end_with_the_nearest_mean_of_products() -> None:
    """Clients and the server's copies go on from one model in rounds of their own; compared with each alone."""
    learner = Learner(scenario(**RATES, weigh_by="rows"), "sfl-v1", 0, "cpu")
    learner.round(decision())
    state = learner.state_dict()
    adapter = learner.nodes.server.units[0][1].attention[1]
    products, start_of = [], (adapter.up.weight.clone(), adapter.down.weight.clone())
    for i in range(CLIENTS):
        learner.load_state_dict(state)
        torch.testing.assert_close((adapter.up.weight, adapter.down.weight), start_of, rtol=0, atol=0)
        alone = decision()
        alone.selected[...] = np.arange(CLIENTS) == i
        learner.round(alone)
        products.append((adapter.up.weight.double() @ adapter.down.weight.double()).detach().numpy())
    learner.load_state_dict(state)
    learner.round(decision())
    u, s, v = np.linalg.svd(np.mean(products, axis=0))
    found = (adapter.up.weight.double() @ adapter.down.weight.double()).detach().numpy()
    np.testing.assert_allclose(found, (u[:, :4] * s[:4]) @ v[:4], atol=2e-6)


def test_same_seed_same_adapters_and_other_ranks_other_sizes() -> None:
    one, other = (Learner(scenario(), "psl", 3, "cpu") for _ in range(2))
    for learner in (one, other):
        learner.round(decision())
    assert one.outcome.bits_per_character == other.outcome.bits_per_character
    networks = [start.start(build(scenario(), {"task": {"adapter_rank": rank}}), 0).network for rank in (1, 4)]
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in networks]
    assert sizes[1] == 4 * sizes[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": {"model": "cnn"}}, "task.model = 'cnn' with task.dataset 'kjv', allowed: 'transformer'"),
        ({"task": {"dataset": "digits"}}, "task.model = 'transformer' with task.dataset 'digits', allowed: other"),
        ({"task": {"augmentation": "symmetries"}}, "task.augmentation = 'symmetries' with task.dataset 'kjv'"),
        (
            {"training": {"aggregation_reading": "virtual"}},
            "training.aggregation_reading = 'virtual' with",
        ),
        ({"training": {"label_balancing": "generated"}}, "training.label_balancing = 'generated' with task.dataset"),
        ({"plan": {"precisions": [32, 8]}}, "plan.precisions = [32, 8] with task.dataset 'kjv', allowed: [32]"),
    ],
)
def test_what_images_alone_have_is_refused_in_one_line(fields, message) -> None:
    with pytest.raises(ScenarioError) as error:
        build("lora", fields)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_frozen_tensors_have_names_of_their_own() -> None:
    network = start.start(scenario(), 0).network
    layers = [layer for layer in network.modules() if isinstance(layer, Frozen)]
    assert len(frozen_tensors(network)) == sum(len(list(layer.buffers(recurse=False))) for layer in layers)


def test_the_surrogate_is_refused_in_one_line() -> None:
    with pytest.raises(ScenarioError) as error:
        World(scenario(), get("psl"), "surrogate")
    assert str(error.value) == (
        "learner = 'surrogate': scenario 'lora' with framework 'psl' is not calibrated, nor can it be, as it learns a "
        "text, allowed: learner = 'train'"
    )


def test_an_environment_says_bits_per_character(books) -> None:  # noqa: F811
    """A test sample is a character; in other scenarios there is no such entry."""
    env = gym.make("splitgym:SplitLearning-v0", scenario=scenario(), framework="psl")
    _, info = env.reset(seed=0)
    assert 0 < info["bits_per_character"] < 20
    *_, info = env.step(env.action_space.sample())
    assert np.isfinite(info["bits_per_character"])
    assert "bits_per_character" not in gym.make("splitgym:SplitLearning-v0", learner="surrogate").reset(seed=0)[1]
