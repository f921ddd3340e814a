"""Clients that compute with few bits: rounding, training, cost."""

import copy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from charged import assert_charged_as_sent, learner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import splitgym  # noqa: F401 - registers the environment
from splitgym.envs import SplitLearningEnv
from splitgym.frameworks.codecs.fixed_point import FixedPoint
from splitgym.frameworks.codecs.packing import pack
from splitgym.frameworks.fixed_point import levels_of, on_grid, step
from splitgym.frameworks.low_precision import rounding
from splitgym.frameworks.payloads import model_bits
from splitgym.scenario import ScenarioError
from splitgym.schedulers import make

BITS = st.integers(2, 16)
SMALL = {"scenario": "toy", "clients": {"count": 3}, "radio": {"subchannels": 4}, "disable_env_checker": True}


def numbers(seed: int, size: int = 200) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = 10.0 ** torch.randint(-20, 20, (), generator=generator).item()
    return scale * torch.randn(size, generator=generator)


def made(framework: str = "psl", action: str = "schedule", **plan: object) -> SplitLearningEnv:
    env = gym.make("SplitLearning-v0", framework=framework, action=action, plan=plan, **SMALL).unwrapped
    assert isinstance(env, SplitLearningEnv)
    env.reset(seed=3)
    env.action_space.seed(4)
    return env


@given(seed=st.integers(0, 10_000), bits=BITS)
@settings(deadline=None, max_examples=60)
def test_rounded_numbers_are_whole_multiples_next_to_the_exact_ones_and_stay(seed: int, bits: int) -> None:
    x = numbers(seed)
    chance = torch.Generator().manual_seed(seed)
    rounded = on_grid(x, bits, chance)
    unit = step(x, bits)
    multiples = rounded.double() / unit.double()
    assert torch.equal(multiples, multiples.round())
    assert multiples.abs().max() <= 2 ** (bits - 1) - 1
    assert ((rounded.double() - x.double()).abs() < unit).all()
    # The unit is the smallest power of two with which nothing is cut off.
    assert np.log2(float(unit)) == np.round(np.log2(float(unit)))
    assert float(x.abs().max()) > float(unit) / 2 * (2 ** (bits - 1) - 1)
    assert torch.equal(on_grid(rounded, bits, chance), rounded)
    assert torch.equal(on_grid(rounded, bits, None), rounded)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounding_is_right_on_average(bits: int) -> None:
    x, chance, draws = numbers(1, 50), torch.Generator().manual_seed(2), 4000
    mean = torch.stack([on_grid(x, bits, chance).double() for _ in range(draws)]).mean(0)
    # A number between two multiples is rounded with a standard deviation of at most half a unit.
    assert (mean - x.double()).abs().max() < 5 * 0.5 * float(step(x, bits)) / draws**0.5


def test_full_precision_and_numbers_that_are_not_finite_stay_as_they_are() -> None:
    x = numbers(5)
    assert on_grid(x, 32, None) is x
    broken = torch.tensor([1.0, float("inf"), -2.0])
    assert torch.equal(on_grid(broken, 8, None), broken)
    assert torch.equal(on_grid(torch.zeros(4), 3, None), torch.zeros(4))


def test_gradients_pass_through_rounding_and_are_rounded_themselves() -> None:
    layer, chance = nn.Linear(6, 4), torch.Generator().manual_seed(0)
    x, upstream = torch.randn(5, 6, requires_grad=True), torch.randn(5, 4)
    with rounding([layer], 6, chance):
        output = layer(x)
    assert torch.equal(output, on_grid(output.detach(), 6, None))
    (gradient,) = torch.autograd.grad(output, x, upstream)
    # Twice rounded, at the layer and at the unit, which are the same here: the second time changes nothing.
    exact = upstream @ layer.weight.detach()
    most_off = float(step(upstream, 6)) * layer.weight.detach().abs().sum(0)
    assert ((gradient - exact).abs() <= most_off + 1e-6).all()
    assert not layer._forward_hooks


@given(seed=st.integers(0, 1000), bits=BITS)
@settings(deadline=None, max_examples=30)
def test_what_a_client_computed_is_sent_exactly_in_its_bits(seed: int, bits: int) -> None:
    x = on_grid(numbers(seed, 60).view(3, 5, 4), bits, None)
    codec = FixedPoint(bits)
    payload = codec.encode(x, torch.Generator().manual_seed(1)).payload
    assert torch.equal(codec.decode(payload, x.shape).smashed, x)
    assert 8 * len(payload) == codec.costs(3, (5, 4)).uplink_bits


@pytest.mark.parametrize("bits", [3, 8])
def test_a_model_is_charged_with_the_bytes_into_which_it_is_packed(bits: int) -> None:
    tensors = [on_grid(numbers(seed, size), bits, None) for seed, size in enumerate((7, 30, 1))]
    offset = 2 ** (bits - 1) - 1
    levels = [levels_of(t, step(t, bits), bits, None) + offset for t in tensors]
    packed = pack(torch.cat(levels).long(), bits)
    assert model_bits(38, 3, bits) == 8 * (len(packed) + 4 * len(tensors))
    assert model_bits(38, 3, 32) == 38 * 32


@pytest.mark.parametrize("framework", ["psl", "epsl", "sl", "sfl-v1", "fl", "cpsl"])
def test_full_precision_among_others_is_training_as_it_was(framework: str) -> None:
    """To the bit, with whatever else may be chosen."""
    closed, opened = made(framework), made(framework, precisions=[8, 32])
    for _ in range(3):
        decision = replace(make("greedy", closed).decide(closed.state), precision=0)
        *_, plain = closed.play(decision)
        *_, chosen = opened.play(replace(decision, precision=1))
        assert chosen.pop("precision") == 1
        for name in plain:
            np.testing.assert_equal(chosen[name], plain[name], err_msg=name)


@pytest.mark.parametrize("framework", ["psl", "epsl", "sl", "sfl-v1", "sfl-v2", "fl", "cpsl", "psl-drop"])
@pytest.mark.parametrize("choice", ["common", "by-client"])
def test_bits_that_are_charged_are_bits_that_are_handed_over(framework: str, choice: str) -> None:
    env = made(framework, precisions=[32, 8, 4], precision=choice, codecs=["none", "uniform-8"])
    assert_charged_as_sent(env)


def test_weights_of_clients_have_their_bits_after_every_round() -> None:
    env = made("psl", precisions=[8, 32, 4], precision="by-client")
    everybody = np.ones(3, bool)
    for precision in ([0, 1, 2], [2, 2, 0]):
        decision = replace(make("greedy", env).decide(env.state), selected=everybody, precision=np.array(precision))
        *_, info = env.play(decision)
        for i, client in enumerate(learner(env).nodes.clients):
            if info["participants"][i]:
                bits = (8, 32, 4)[precision[i]]
                assert client.bits == bits
                weights = [p.detach() for unit in client.units for p in unit.parameters()]
                assert all(torch.equal(on_grid(w, bits, None), w) for w in weights)


def test_cycles_and_energy_are_those_of_the_table() -> None:
    """Of one client, by hand: 8 bits need a quarter of the cycles, and (8 / 32)^1.25 of the energy of computing."""
    env = made("psl", precisions=[32, 8])
    alone = np.array([True, False, False])
    decision = replace(make("greedy", env).decide(env.state), selected=alone)
    world, costs = env.fork(), []
    for precision in (0, 1):
        costs.append(world.fork().play(replace(decision, precision=precision).batch()).cost.world(0))
    full, few = costs
    seconds = [cost.seconds_by_stage() for cost in costs]
    assert seconds[1]["client_fp"] < seconds[0]["client_fp"]
    computing = [s["client_fp"] + s["client_bp"] for s in seconds]
    psd, owner = decision.power_w_per_hz, decision.assignment
    sent_w = float((psd * env.state.subchannel_hz)[owner == 0].sum())
    joules = [float(c.client_energy_j[0]) - sent_w * s["uplink"] for c, s in zip(costs, seconds, strict=True)]
    # To pack and unpack what is sent needs some cycles, too.
    assert joules[1] / joules[0] == pytest.approx((8 / 32) ** 1.25, rel=0.05)
    assert computing[1] / computing[0] == pytest.approx(0.25, rel=0.05)
    assert full.traffic_bits > 3.5 * few.traffic_bits


@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule", "priority"])
def test_every_encoding_says_it(action: str) -> None:
    env = made("epsl", action, precisions=[32, 8, 4], precision="by-client")
    for _ in range(5):
        sample = env.action_space.sample()
        decision = env.decode(sample)
        chosen = decision.precision[decision.selected]
        assert decision.precision.shape == (3,)
        assert len(set(chosen.tolist())) < 2 or decision.aggregation_ratio == 0
        np.testing.assert_array_equal(env.decode(env.encode(decision)).precision, decision.precision)
        env.step(sample)


def test_rules_hold_it() -> None:
    env = made("psl", precisions=[32, 8])
    assert make("greedy", env).decide(env.state).precision == 0
    assert make("greedy", env, precision=8).decide(env.state).precision == 1
    with pytest.raises(ValueError, match=r"precision = 4, allowed: 32, 8"):
        make("greedy", env, precision=4)


@pytest.mark.parametrize(
    ("plan", "more", "message"),
    [
        ({"precisions": [32, 8, 8]}, {}, "each one once"),
        ({"precisions": [20]}, {}, "2 to 16, and 32"),
        ({"precisions": [1]}, {}, "precisions"),
        ({"precisions": [8]}, {"training": {"optimizer": "adam"}}, "training.optimizer = 'adam'"),
        ({"precisions": [8]}, {"learner": "surrogate"}, "learner = 'surrogate'"),
    ],
)
def test_what_has_no_sense_is_refused(plan: dict, more: dict, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        gym.make("SplitLearning-v0", framework="psl", plan=plan, **SMALL, **more).reset(seed=0)


def packed_bits(units: list[nn.Module], bits: int) -> int:
    """Bits of the bytes into which numbers of so many bits are packed, unit by unit, with a step for each tensor."""
    total = 0
    for unit in units:
        tensors = [t for t in unit.state_dict().values() if t.is_floating_point()]
        levels = [levels_of(t, step(t, bits), bits, None).flatten() + 2 ** (bits - 1) - 1 for t in tensors]
        total += 8 * (len(pack(torch.cat(levels).long(), bits)) + 4 * len(tensors))
    return total


def moving(cuts: tuple[int, int]) -> tuple[SplitLearningEnv, object]:
    """An environment after a round with 8, 32 and 4 bits at one cut, and a decision for the next at another."""
    env = made("psl", precisions=[8, 32, 4], precision="by-client")
    everybody, precision = np.ones(3, bool), np.array([0, 1, 2])
    rule = [make("greedy", env, cut_layer=cut) for cut in cuts]
    env.play(replace(rule[0].decide(env.state), selected=everybody, precision=precision))
    return env, replace(rule[1].decide(env.state), selected=everybody, precision=precision)


@pytest.mark.parametrize("cuts", [(2, 1), (1, 2)])
def test_units_that_move_are_charged_with_the_bytes_of_each_clients_bits(cuts: tuple[int, int]) -> None:
    env, decision = moving(cuts)
    units = list(learner(env).nodes.server.units)[min(cuts) : max(cuts)]
    full = 32 * sum(p.numel() for unit in units for p in unit.parameters())
    *_, info = env.play(decision)
    assert info["participants"].all()
    assert info["migration_bits"] == packed_bits(units, 8) + full + packed_bits(units, 4)
    assert info["traffic_bits"] == pytest.approx(
        sum(learner(env).traffic_bits.values()) + info["migration_bits"], rel=1e-12
    )


def test_a_unit_that_is_given_up_has_the_bits_of_those_that_give_it() -> None:
    """Also where these change: a client rounds to its new bits before it sends."""
    env, _ = moving((2, 1))
    nodes, shares = learner(env).nodes, np.array([0.5, 0.3, 0.2])
    given = [[p.detach().clone() for p in client.units[1].parameters()] for client in nodes.clients]
    bits = (4, 32, 8)
    for client, own in zip(nodes.clients, bits, strict=True):
        client.bits = own
    nodes.move_cut(1, range(3), shares)
    for place, weight in enumerate(nodes.server.units[1].parameters()):
        sent = [on_grid(tensors[place], own, None) for tensors, own in zip(given, bits, strict=True)]
        torch.testing.assert_close(weight.detach(), sum(w * t for w, t in zip(shares.tolist(), sent, strict=True)))
    assert not torch.equal(on_grid(given[0][0], 4, None), given[0][0])


def test_a_unit_that_is_fetched_is_the_servers_rounded_to_the_nearest() -> None:
    env, _ = moving((1, 2))
    nodes = learner(env).nodes
    nodes.move_cut(2, range(3), np.full(3, 1 / 3))
    for client in nodes.clients:
        client.begin()
        for own, of_server in zip(client.units[1].parameters(), nodes.server.units[1].parameters(), strict=True):
            assert torch.equal(own, on_grid(of_server.detach(), client.bits, None))


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2", "fl", "sl"])
def test_a_shared_model_is_measured_as_each_client_receives_it(framework: str) -> None:
    """A plain network whose first units are rounded, as are their activations; the model itself keeps 32 bits."""
    env = made(framework, precisions=[3])
    everybody = np.ones(3, bool)
    for _ in range(2):
        env.play(replace(make("greedy", env).decide(env.state), selected=everybody))
    nodes, evaluator = learner(env).nodes, learner(env).evaluator
    cut = int(nodes.cut_layers[0])
    units = copy.deepcopy(list(nodes.server.units))
    for parameter in (p for unit in units[:cut] for p in unit.parameters()):
        parameter.data = on_grid(parameter.data, 3, None)
    for unit in units:
        unit.eval()
    with torch.no_grad():
        x = evaluator._images
        with rounding(units[:cut], 3, None):
            for unit in units[:cut]:
                x = unit(x)
        for unit in units[cut:]:
            x = unit(x)
    accuracy = float((x.argmax(1) == evaluator._labels).float().mean())
    np.testing.assert_allclose(evaluator.client_accuracy(nodes), accuracy, atol=1e-6)


def test_tails_move_in_the_clients_bits() -> None:
    more = {"task": {"model": "cnn"}, "episode": {"round_timeout_s": 1e6}}
    plan = {"precisions": [8], "second_cut": "decided"}
    env = gym.make("SplitLearning-v0", framework="u-shaped", action="schedule", plan=plan, **SMALL, **more).unwrapped
    assert isinstance(env, SplitLearningEnv)
    env.reset(seed=3)
    for second, moved in ((3, 0), (2, 3), (3, 3)):
        unit = learner(env).nodes.server.units[2]
        decision = make("greedy", env, cut_layer=1).decide(env.state)
        *_, info = env.play(replace(decision, selected=np.ones(3, bool), second_cut=second))
        assert info["participants"].all()
        assert info["migration_bits"] == moved * packed_bits([unit], 8)
