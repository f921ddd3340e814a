"""Clients that leave channels out: their network, training, cost, and what refuses it."""

import copy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import assert_vector_agrees
from charged import assert_charged_as_sent, learner
from torch import Tensor, nn

import splitgym  # noqa: F401 - registers the environment
from splitgym import models
from splitgym.data import dimensions
from splitgym.envs import SplitLearningEnv
from splitgym.frameworks.codecs import codec, codecs_at
from splitgym.frameworks.narrow import Narrow
from splitgym.frameworks.node import Node
from splitgym.inputs import InputError
from splitgym.learning import Learner
from splitgym.models import CuttableNetwork
from splitgym.models.narrowing import narrowed
from splitgym.scenario import ScenarioError, Training
from splitgym.scenario.levels import Level, kept
from splitgym.schedulers import make

torch.set_num_threads(1)
SMALL = {"scenario": "toy", "clients": {"count": 3}, "radio": {"subchannels": 4}, "disable_env_checker": True}
EVERYBODY = np.ones(3, bool)
NETWORKS = {"cnn": (1, 8, 8), "mlp": (1, 8, 8), "resnet18": (3, 32, 32)}


def made(framework: str = "psl", action: str = "schedule", **more: object) -> SplitLearningEnv:
    env = gym.make("SplitLearning-v0", framework=framework, action=action, **{**SMALL, **more}).unwrapped
    assert isinstance(env, SplitLearningEnv)
    env.reset(seed=3)
    env.action_space.seed(4)
    return env


def network(name: str) -> CuttableNetwork:
    return models.build(name, NETWORKS[name], 10, torch.Generator().manual_seed(1))


def zero_filled(x: Tensor, channels: int) -> Tensor:
    rest = x.new_zeros(len(x), channels - x.shape[1], *x.shape[2:])
    return torch.cat([x, rest], 1)


def first(whole: Tensor, part: Tensor) -> Tensor:
    return whole[tuple(slice(size) for size in part.shape)]


def test_what_a_scenario_says() -> None:
    assert Level.read(8) == Level(8, 1.0)
    assert Level.read("32x0.25") == Level(32, 0.25)
    assert Level.read("8x.5").words == "8 bit, 50 % of the channels"
    assert (kept(16, 0.5), kept(25, 0.28), kept(10, 0.01)) == (8, 7, 1)
    for wrong in ("8", "8x1", "8x0.0", "20x0.5", "x0.5", 20, "8x-0.5"):
        with pytest.raises(ValueError, match="allowed: 2 to 16, and 32"):
            Level.read(wrong)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_narrow_network_has_the_first_channels(name: str) -> None:
    whole = network(name)
    narrow = narrowed(whole, NETWORKS[name], 0.5)
    for (key, part), (_, full) in zip(narrow.state_dict().items(), whole.state_dict().items(), strict=True):
        assert torch.equal(part, first(full, part)), key
    assert narrow.units[-1](torch.zeros(2, *models.profiling.features(narrow, NETWORKS[name])[-2])).shape == (2, 10)
    with pytest.raises(InputError, match="unit 1 of the network gives"):
        narrowed(CuttableNetwork({"a": nn.Flatten(), "b": nn.Linear(64, 10)}), (1, 8, 8), 0.5)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_narrow_client_computes_what_a_plain_narrow_network_does(name: str) -> None:
    """Forward, backward, running statistics and three steps with momentum and decay; what is left out stays."""
    whole, shape, cut = network(name), NETWORKS[name], 2
    plain, channels = narrowed(whole, shape, 0.5), models.profiling.features(whole, shape)[cut - 1][0]
    training = Training(momentum=0.9, weight_decay=0.01, batch_size=4)
    client = Node(list(whole.units)[:cut], 0.1, training)
    client.narrow = Narrow.of(whole, shape, 0.5)
    before = copy.deepcopy([unit.state_dict() for unit in client.units])
    units = nn.Sequential(*list(plain.units)[:cut])
    optimizer = torch.optim.SGD(units.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        x = torch.randn(4, *shape, generator=generator)
        smashed, expected = client.forward(x), zero_filled(units(x), channels)
        torch.testing.assert_close(smashed, expected)
        assert not smashed[:, kept(channels, 0.5) :].any()
        upstream = torch.randn(smashed.shape, generator=generator)
        client.step(torch.autograd.grad(smashed, client.parameters, upstream))
        optimizer.zero_grad()
        expected.backward(upstream)
        optimizer.step()
    for unit, old, own in zip(client.units, before, list(plain.units)[:cut], strict=True):
        for key, part in own.state_dict().items():
            now, was = unit.state_dict()[key], old[key]
            torch.testing.assert_close(first(now, part), part, msg=key)
            changed = torch.zeros_like(now, dtype=torch.bool)
            first(changed, part).fill_(True)
            assert torch.equal(now[~changed], was[~changed]), key


@pytest.mark.parametrize("name", ["none", "uniform-8", "top-k:0.1", "c3:2"])
def test_the_channels_that_are_kept_are_sent(name: str) -> None:
    (sender,) = codecs_at(name, [Level(32, 0.5)])
    x = F.pad(torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)), (0, 0, 0, 0, 0, 3))
    chance = torch.Generator().manual_seed(1)
    sent = sender.encode(x, chance)
    decoded = sender.decode(sent.payload, x.shape)
    assert (
        8 * len(sent.payload) == codec(name).costs(4, (3, 2, 2)).uplink_bits == sender.costs(4, (6, 2, 2)).uplink_bits
    )
    assert not decoded.smashed[:, 3:].any()
    gradient = torch.randn(x.shape, generator=chance)
    payload = sender.encode_gradient(gradient, decoded.context, chance)
    assert 8 * len(payload) == codec(name).costs(4, (3, 2, 2)).downlink_bits
    back = sender.decode_gradient(payload, sent.context)
    assert not back[:, 3:].any()
    if name == "none":
        assert torch.equal(decoded.smashed, x)
        assert torch.equal(back[:, :3], gradient[:, :3])


def test_all_channels_among_others_is_training_as_it_was() -> None:
    """To the bit, with whatever else may be chosen."""
    closed, opened = made(), made(plan={"precisions": ["32x0.5", 32]})
    for _ in range(3):
        decision = make("greedy", closed).decide(closed.state)
        *_, plain = closed.play(decision)
        *_, chosen = opened.play(replace(decision, precision=1))
        assert chosen.pop("precision") == 1
        for name in plain:
            np.testing.assert_equal(chosen[name], plain[name], err_msg=name)


@pytest.mark.parametrize("framework", ["psl", "epsl", "psl-drop"])
def test_bits_that_are_charged_are_bits_that_are_handed_over(framework: str) -> None:
    plan = {"precisions": ["32x0.5", 32, "8x0.3"], "precision": "by-client", "codecs": ["none", "top-k:0.1"]}
    env = made(framework, plan=plan)
    assert_charged_as_sent(env)


def test_a_round_is_that_of_a_plain_program() -> None:
    """Two clients with half of the channels and one with all; a server that knows nothing of it; and the accuracy."""
    env = made(plan={"precisions": [32, "32x0.5"], "precision": "by-client"})
    for number in range(2):
        start = learner(env)
        decision = replace(make("greedy", env, cut_layer=1).decide(env.state), selected=EVERYBODY)
        if number == 0:
            start.nodes.move_cut(1, range(3), start.data_share)
        shape = tuple(start._images.shape[1:])
        heads = []
        for client, narrow in zip(start.nodes.clients, (True, False, True), strict=True):
            own = copy.deepcopy(client.units[0])
            units = CuttableNetwork({"own": own, "rest": nn.Sequential(nn.Flatten(), nn.LazyLinear(2))})
            units(start._images[:1])
            heads.append(narrowed(units, shape, 0.5).units[0] if narrow else own)
        behind = nn.Sequential(*copy.deepcopy(list(start.nodes.server.units)[1:]))
        orders = copy.deepcopy(start._orders)
        batches = [order.draw(start._training.batch_size) for order in orders]
        *_, info = env.play(replace(decision, precision=np.array([1, 0, 1])))
        assert info["participants"].all()
        channels = start.nodes.server.units[0](start._images[:1]).shape[1]
        shares = torch.tensor(start.data_share, dtype=torch.float32)
        smashed = [zero_filled(h(start._images[rows]), channels) for h, rows in zip(heads, batches, strict=True)]
        losses = [F.cross_entropy(behind(x), start._labels[rows]) for x, rows in zip(smashed, batches, strict=True)]
        assert info["loss"] == pytest.approx(float(shares @ torch.stack(losses).detach()), rel=1e-5)
        gradients = torch.autograd.grad(shares @ torch.stack(losses), [p for h in heads for p in h.parameters()])
        own, after = iter(gradients), learner(env).nodes.clients
        if number == 0:
            # The first step has no momentum yet.
            for i, head in enumerate(heads):
                for was, now in zip(head.parameters(), after[i].units[0].parameters(), strict=True):
                    exact = next(own) / shares[i] + start._training.weight_decay * was.detach()
                    expected = was.detach() - start._training.client_learning_rate * exact
                    torch.testing.assert_close(first(now.detach(), was), expected)


def test_costs_by_hand() -> None:
    """Half of the channels of the two convolutions of the CNN: 8 of 16, and 16 of 32 that read 8 instead of 16."""
    env = made(plan={"precisions": [32, "32x0.5"]}, task={"model": "cnn"}, episode={"round_timeout_s": 1e6})
    whole, half = (models.measure("cnn", *dimensions("digits"), "7x7", width) for width in (1.0, 0.5))
    assert half.profile.forward_flops[:2] / whole.profile.forward_flops[:2] == pytest.approx([0.5, 0.25])
    assert half.profile.backward_flops[:2] / whole.profile.backward_flops[:2] == pytest.approx([0.5, 0.25])
    assert half.features[:2] == ((8, 8, 8), (16, 4, 4))
    alone = np.array([True, False, False])
    decision = replace(make("greedy", env, cut_layer=2).decide(env.state), selected=alone)
    world, costs = env.fork(), []
    for precision in (0, 1):
        costs.append(world.fork().play(replace(decision, precision=precision).batch()).cost.world(0))
    full, narrow = costs
    seconds = [cost.seconds_by_stage() for cost in costs]
    assert full.participants.sum() == narrow.participants.sum() == 1
    assert narrow.traffic_bits == pytest.approx(full.traffic_bits / 2)
    for stage, ratio in (("uplink", 0.5), ("unicast", 0.5), ("server_fp", 1.0), ("server_bp", 1.0)):
        assert seconds[1][stage] / seconds[0][stage] == pytest.approx(ratio), stage
    # 2 x 9 x 16 x 64 and 2 x 9 x 16 x 32 x 64 FLOPs of a forward pass, and twice as many for the second one's backward.
    first_layer, second_layer = 18432, 589824
    forward = (0.5 * first_layer + 0.25 * second_layer) / (first_layer + second_layer)
    backward = (0.5 * first_layer + 0.25 * 2 * second_layer) / (first_layer + 2 * second_layer)
    assert seconds[1]["client_fp"] / seconds[0]["client_fp"] == pytest.approx(forward)
    assert seconds[1]["client_bp"] / seconds[0]["client_bp"] == pytest.approx(backward)


def test_memory_is_that_of_the_narrow_network() -> None:
    memory = {"memory_min_bytes": 1e9, "memory_max_bytes": 1e9}
    env = made(plan={"precisions": [32, "32x0.5"]}, clients={"count": 3, **memory})
    needs, task = env.system.memory, env.scenario.task
    assert needs is not None
    own = models.measure(task.model, *dimensions(task.dataset), task.stem, 0.5).memory
    rows, copies = env.scenario.training.batch_size, int(env.scenario.training.momentum > 0)
    for plan in np.flatnonzero(needs.plans.precision == 1):
        expected = own.client_bytes(int(needs.plans.cut_layer[plan]), rows, copies)
        assert needs.client[plan] == expected


def test_a_state_that_is_saved_goes_on_alike() -> None:
    env = made(plan={"precisions": [32, "8x0.5"], "precision": "by-client"})
    one, other = (Learner(env.scenario, "psl", 3, "cpu") for _ in range(2))
    decision = replace(make("greedy", env).decide(env.state), selected=EVERYBODY, precision=np.array([1, 0, 1]))
    one.round(decision)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other.evaluator.correct(other.nodes), one.evaluator.correct(one.nodes))
    # The client that took part with half of the channels and does not now answers with these.
    rest = replace(decision, selected=np.array([False, True, True]))
    outcomes = [each.round(rest) for each in (one, other)]
    np.testing.assert_array_equal(outcomes[0].client_accuracy, outcomes[1].client_accuracy)
    assert outcomes[0].loss == outcomes[1].loss
    for mine, theirs in zip(one.nodes.everybody(), other.nodes.everybody(), strict=True):
        assert (mine.bits, mine.narrow is None) == (theirs.bits, theirs.narrow is None)
        for a, b in zip(mine.parameters, theirs.parameters, strict=True):
            assert torch.equal(a, b)


def test_rules_and_encodings_say_it() -> None:
    env = made("epsl", "discrete", plan={"precisions": [32, "8x0.5"], "precision": "by-client"})
    assert make("greedy", env, precision="8x0.5").decide(env.state).precision == 1
    with pytest.raises(ValueError, match=r"precision = '8x0\.4', allowed: 32, 8x0\.5"):
        make("greedy", env, precision="8x0.4")
    decision = env.decode(env.action_space.sample())
    np.testing.assert_array_equal(env.decode(env.encode(decision)).precision, decision.precision)


def test_vector_and_single_agree() -> None:
    plan = {"precisions": [32, "32x0.5", "4x0.3"], "precision": "by-client"}
    arguments = {name: value for name, value in SMALL.items() if name != "disable_env_checker"}
    episode = {"round_timeout_s": 1e6, "time_budget_s": 1e9, "stop_at_target": False}
    names = ("participants", "traffic_bits", "accuracy", "precision")
    assert_vector_agrees(2, 3, names, framework="psl", action="discrete", plan=plan, episode=episode, **arguments)


@pytest.mark.parametrize(
    ("framework", "more", "message"),
    [
        ("sfl-v1", {}, "framework 'sfl-v1', allowed: bits alone"),
        ("fl", {}, "framework 'fl', allowed: bits alone"),
        ("u-shaped", {}, "framework 'u-shaped', allowed: bits alone"),
        ("async-sfl", {}, "framework 'async-sfl', allowed: bits alone"),
        ("psl", {"learner": "surrogate"}, "learner = 'surrogate'"),
        ("psl", {"training": {"optimizer": "adam"}}, "training.optimizer = 'adam'"),
        ("psl", {"plan": {"precisions": ["32x1.5"]}}, "'32x1.5', allowed: 2 to 16, and 32"),
        ("psl", {"plan": {"precisions": ["32x0.5", "32x.5"]}}, "each one once"),
    ],
)
def test_what_has_no_sense_is_refused(framework: str, more: dict, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        gym.make(
            "SplitLearning-v0", framework=framework, **{**SMALL, "plan": {"precisions": [32, "32x0.5"]}, **more}
        ).reset(seed=0)
