"""The equivariant policy: numbers of clients say nothing, who is not there does not count, any number of them fits."""

from math import log

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

import splitgym  # noqa: F401 - registers the environment
from agents.equivariant import EquivariantPolicy
from agents.tokens import LIMIT, PER_CLIENT, SCALARS, Layout, tokens
from splitgym.envs import SB3VecEnv
from splitgym.envs.features import Feature

FLAGS = ("available", "took_part")
FAMILY = {"family": {"clients": (2, 5), "subchannel_hz": (1e5, 3e5)}}
seeds = st.integers(0, 2**32 - 1)


def make_env(clients=5, action="priority", scenario="iot", **options):
    return gym.make("SplitLearning-v0", scenario=scenario, action=action, clients={"count": clients}, **options)


ENVS = {
    "plain": make_env(),
    "family": make_env(**FAMILY),
    **{clients: make_env(clients) for clients in (3, 8, 12)},
    "padded": make_env(12, scenario="iot-family"),
}


def drawn(rng, clients):
    """Entries of an observation by name: [C] of the clients, one number of the cell."""
    entries = {name: rng.random(clients) for name in PER_CLIENT}
    entries |= {name: (rng.random(clients) < 0.6).astype(float) for name in (*FLAGS, "present")}
    return entries | {name: rng.random() for name in (*SCALARS, "bandwidth")}


def shown(env, entries):
    """[1, observation] the entries where the environment's manual says that they stand."""

    def value(name):
        name, _, index = name.rstrip("]").partition("[")
        return entries[name][int(index)] if index else entries[name]

    return torch.tensor([[value(name) for name in env.unwrapped.observation_names]], dtype=torch.float32)


def policy_of(env, seed=0):
    """A policy whose weights are all drawn, none of them small."""
    policy = EquivariantPolicy(env.observation_space, env.action_space, lambda _: 0.0, width=8)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in policy.parameters():
            weights.normal_(0.0, 0.5, generator=generator)
    return policy


def answer(policy, observation):
    """[C] weights of clients, [3] cut layer, latency exponent and phi, and the value."""
    with torch.no_grad():
        mean = policy.get_distribution(observation).distribution.mean[0].numpy()
        value = policy.predict_values(observation).numpy()
    return mean[1:-2], mean[[0, -2, -1]], value


def of_clients(entries):
    return [name for name, value in entries.items() if np.ndim(value)]


def close(one, other):
    return all(np.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["plain", "family"])
@given(seed=seeds, order=st.permutations(range(5)))
@settings(max_examples=40, deadline=None)
def test_renumbering_the_clients_renumbers_their_worth_and_nothing_else(kind, seed, order):
    env, order = ENVS[kind], np.array(order)
    policy, entries = policy_of(env, seed), drawn(np.random.default_rng(seed), 5)
    worth, cell, value = answer(policy, shown(env, entries))
    renumbered = entries | {name: entries[name][order] for name in of_clients(entries)}
    assert close(answer(policy, shown(env, renumbered)), (worth[order], cell, value))
    assert np.ptp(worth) > 1e-3


@pytest.mark.parametrize(("kind", "flag"), [("plain", "available"), ("family", "available"), ("family", "present")])
@given(seed=seeds, there=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_who_is_away_or_absent_has_no_influence(kind, flag, seed, there):
    env, rng = ENVS[kind], np.random.default_rng(seed)
    policy, entries = policy_of(env, seed), drawn(rng, 5)
    entries |= {"available": np.ones(5), "present": np.ones(5)} | {flag: (np.arange(5) < there).astype(float)}
    others = drawn(rng, 5)
    changed = {name: np.where(entries[flag] > 0, entries[name], others[name]) for name in PER_CLIENT}
    worth, *rest = answer(policy, shown(env, entries))
    changed_worth, *changed_rest = answer(policy, shown(env, entries | changed | {flag: entries[flag]}))
    assert close((worth[:there], *rest), (changed_worth[:there], *changed_rest))


@pytest.mark.parametrize("name", ["channel", "compute", "loss", "novelty", "experience"])
def test_who_is_there_has_influence(name):
    """So that the test before can fail."""
    env, entries = ENVS["plain"], drawn(np.random.default_rng(0), 5) | {"available": np.ones(5)}
    changed = entries | {name: np.append(entries[name][:4], 1 - entries[name][4])}
    policy = policy_of(env)
    worth, cell, value = answer(policy, shown(env, entries))
    changed_worth, changed_cell, changed_value = answer(policy, shown(env, changed))
    assert np.abs(worth[:4] - changed_worth[:4]).min() > 1e-4
    assert np.abs(cell - changed_cell).min() > 1e-4
    assert np.abs(value - changed_value).min() > 1e-4


def test_nobody_there_is_answered_too():
    env, entries = ENVS["plain"], drawn(np.random.default_rng(0), 5) | {"available": np.zeros(5)}
    assert all(np.isfinite(part).all() for part in answer(policy_of(env), shown(env, entries)))


@pytest.mark.parametrize("clients", [3, 8, 12])
def test_the_same_weights_fit_any_number_of_clients(clients):
    """Of clients that are all alike each is worth the same, however many."""
    policy = policy_of(ENVS[clients], seed=1)
    policy.load_state_dict(policy_of(ENVS["plain"]).state_dict())
    entries = drawn(np.random.default_rng(clients), clients)
    action, _ = policy.predict(shown(ENVS[clients], entries)[0].numpy())
    assert ENVS[clients].action_space.contains(action)
    alike = entries | {name: np.full(clients, 0.7) for name in PER_CLIENT} | {"available": np.ones(clients)}
    worth, _, _ = answer(policy, shown(ENVS[clients], alike))
    assert worth == pytest.approx(worth[0], abs=1e-6)


@given(seed=seeds, seats=st.permutations(range(12)))
@settings(max_examples=30, deadline=None)
def test_padding_changes_nothing_for_those_who_are_present(seed, seats):
    """Eight clients take eight of twelve seats; a bandwidth as the scenario's is what no family shows."""
    env, padded, seats = ENVS[8], ENVS["padded"], np.array(seats[:8])
    policy, entries = policy_of(env, seed), drawn(np.random.default_rng(seed), 8)
    same = policy_of(padded, seed + 1)
    same.load_state_dict(policy.state_dict())
    entries |= {"present": np.ones(8), "bandwidth": 0.5}
    spread = dict(entries)
    for name in of_clients(entries):
        spread[name] = np.zeros(12)
        spread[name][seats] = entries[name]
    worth, *rest = answer(policy, shown(env, entries))
    padded_worth, *padded_rest = answer(same, shown(padded, spread))
    assert close((worth, *rest), (padded_worth[seats], *padded_rest))


def test_exploration_is_the_same_for_all_clients():
    policy = policy_of(ENVS["plain"])
    entries = drawn(np.random.default_rng(0), 5)
    deviation = policy.get_distribution(shown(ENVS["plain"], entries)).distribution.stddev[0].detach().numpy()
    cut_layer, client_weight, latency_exponent, phi = policy.log_std.detach().exp().numpy()
    assert deviation == pytest.approx([cut_layer, *[client_weight] * 5, latency_exponent, phi])


# Tokens ------------------------------------------------------------------------------------------------------------


def test_tokens_by_hand():
    """Three clients, the last of them away; 0.8 is four times its reference, 0.2 a quarter, 0.9 nine times."""
    env = make_env(3, family={"subchannel_hz": (1e5, 3e5)})
    entries = {
        "channel": [0.5, 0.8, 0.9],
        "compute": [0.5, 0.2, 0.2],
        "loss": [0.8, 0.5, 0.9],
        "data_share": [0.5, 0.8, 0.2],
        "available": [1, 1, 0],
        "took_part": [1, 0, 0],
        "client_cut_layer": [0.25, 0.5, 0.75],
        "absence": [0.0, 0.2, 0.5],
        "experience": [0.2, 0.5, 0.0],
        "diversity": [0.1, 0.2, 0.3],
        "novelty": [0.5, 0.5, 1.0],
        "accuracy": 0.2,
        "cut_layer": 0.6,
        "aggregation_ratio": 0.7,
        "round_latency": 0.8,
        "rounds_left": 0.3,
        "time_left": 0.4,
        "bandwidth": 0.8,
    }
    two, four, nine = log(2), log(4), log(9)
    channel = [  # with the bandwidth: log 4, 16 and 36; on average of the two log 8
        [two, -two, 0, 0],
        [four, two, 1 / 2, log(2)],
        [log(6), log(36 / 8), 2 / 2, log(3)],
    ]
    compute = [[0, two, 1 / 2, log(2)], [-two, -two, 0, 0], [-two, -two, 0, 0]]
    loss = [[two, two, 1 / 2, log(2)], [0, -two, 0, 0], [nine / 2, nine - two, 2 / 2, log(3)]]
    own = [
        [1, 0.25, 0.1, 0, -LIMIT / 2, -two, 0, two],
        [0, 0.5, 0.2, two, -two, 0, 0, 0],
        [0, 0.75, 0.3, -two, 0, -LIMIT / 2, LIMIT / 2, 0],
    ]
    seen = tokens(shown(env, entries), Layout.of(env.observation_space, env.action_space))
    expected = np.concatenate([channel, compute, loss, own], 1)
    assert seen.clients[0].numpy() == pytest.approx(expected, abs=1e-5)
    cell = [0.2, 0.6, 0.7, 0.8, 0.3, 0.4, four, log(2) - 2, -two, two]
    assert seen.cell[0].numpy() == pytest.approx(cell, abs=1e-5)
    assert seen.available.tolist() == [[1, 1, 0]]


@pytest.mark.parametrize(
    ("clients", "family", "expected"),
    [
        (5, {}, (5, False, False)),
        (5, {"clients": (2, 5)}, (5, True, False)),
        (5, {"subchannel_hz": (1e5, 3e5)}, (5, False, True)),
        (5, FAMILY["family"], (5, True, True)),
        (1, {}, (1, False, False)),
        (1, {"subchannel_hz": (1e5, 3e5)}, (1, False, True)),
    ],
)
def test_layout_is_read_off_the_spaces(clients, family, expected):
    env = make_env(clients, family=family)
    layout = Layout.of(env.observation_space, env.action_space)
    assert (layout.clients, "present" in layout.first, "bandwidth" in layout.first) == expected


def test_a_feature_of_one_s_own_does_not_shift_the_others():
    own = Feature("own", "cell", "nothing", lambda state: np.full(len(state.round), 0.25))
    env, other = make_env(), make_env(observation=[own, "standard"])
    one, two = (Layout.of(each.observation_space, each.action_space) for each in (env, other))
    seen = torch.rand(2, len(env.unwrapped.observation_names))
    shifted = torch.cat([torch.full((2, 1), 0.25), seen], 1)
    for a, b in zip(tokens(seen, one), tokens(shifted, two), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("action", ["schedule", "discrete", "continuous"])
def test_spaces_of_another_kind_are_refused(action):
    with pytest.raises(ValueError, match=r"action='priority', observation='standard'"):
        PPO(EquivariantPolicy, make_env(action=action))


# Open factors ------------------------------------------------------------------------------------------------------

FACTORS = {
    "cuts": {"framework": "psl", "scenario": "wearables", "plan": {"cut_layer": "by-client"}},
    "codecs": {"framework": "psl", "plan": {"codecs": ("none", "uniform-4"), "codec": "by-client"}},
    "codec": {"framework": "epsl", "plan": {"codecs": ("none", "uniform-4")}},
    "batches": {"framework": "psl", "plan": {"batch_sizes": (8, 16), "batch_size": "by-client"}},
    "means": {"framework": "sfl-v2", "plan": {"averaging": "decided"}},
    "clocks": {"framework": "psl", "plan": {"clock": "decided"}},
    "quorum": {"framework": "async-psl", "plan": {"quorum": "decided"}},
    "labels": {"framework": "u-shaped", "task": {"model": "cnn"}, "clients": {"tail_units": 1}},
}
"""Environments in which the plan of a round has other factors, or less is shown."""


def with_factors(kind, clients=5):
    sections = {"scenario": "iot", "action": "priority", **FACTORS[kind]}
    sections["clients"] = {**sections.get("clients", {}), "count": clients}
    return gym.make("SplitLearning-v0", **sections)


@pytest.mark.parametrize("kind", FACTORS)
def test_with_open_factors_renumbering_renumbers_what_is_said_of_each_client(kind):
    env, rng, order = with_factors(kind), np.random.default_rng(0), np.array([3, 0, 4, 1, 2])
    policy, (names, said) = policy_of(env), (space.names for space in (env.observation_space, env.action_space))
    entries = {name: rng.random() for name in names} | {name: 1.0 for name in names if name.startswith("available")}

    def renumbered(name):
        own, _, index = name.rstrip("]").partition("[")
        return f"{own}[{order[int(index)]}]" if index else name

    def mean(observation):
        with torch.no_grad():
            shown_entries = torch.tensor([observation], dtype=torch.float32)
            return dict(zip(said, policy.get_distribution(shown_entries).distribution.mean[0].tolist(), strict=True))

    before, after = mean([entries[name] for name in names]), mean([entries[renumbered(name)] for name in names])
    assert after == pytest.approx({name: before[renumbered(name)] for name in said}, abs=1e-5)
    assert len({round(value, 4) for value in before.values()}) == len(said)


@pytest.mark.parametrize("kind", FACTORS)
def test_with_open_factors_the_same_weights_fit_any_number_of_clients(kind):
    few, many = with_factors(kind), with_factors(kind, 9)
    policy = policy_of(many, seed=1)
    policy.load_state_dict(policy_of(few).state_dict())
    many.reset(seed=0)
    action, _ = policy.predict(many.unwrapped.observe())
    assert many.action_space.contains(action)
    many.step(action)


@pytest.mark.parametrize(("kind", "feature"), [("cuts", "memory"), ("codecs", "codec"), ("quorum", "bits_left")])
def test_what_is_shown_of_open_factors_has_influence(kind, feature):
    env, rng = with_factors(kind), np.random.default_rng(0)
    names, policy = env.observation_space.names, policy_of(env)
    entries = np.array([1.0 if name.startswith("available") else rng.random() for name in names])
    changed = np.array([1 - x if n == f"{feature}[2]" else x for n, x in zip(names, entries, strict=True)])
    with torch.no_grad():
        one, other = (
            policy.get_distribution(torch.tensor(seen[None], dtype=torch.float32)).distribution.mean[0]
            for seen in (entries, changed)
        )
    assert (one - other).abs().min() > 1e-5


def test_untrained_it_expects_early_cuts_and_few_mini_batches_and_full_clocks():
    for kind, name, expected in (
        ("cuts", "cut_layer[0]", -0.6),
        ("quorum", "quorum", -0.6),
        ("clocks", "clock[1]", 0.8),
    ):
        env = with_factors(kind)
        policy = EquivariantPolicy(env.observation_space, env.action_space, lambda _: 0.0)
        with torch.no_grad():
            mean = policy.get_distribution(torch.full((1, *env.observation_space.shape), 0.5)).distribution.mean[0]
        assert float(mean[env.action_space.names.index(name)]) == pytest.approx(expected, abs=0.05)


# Placements --------------------------------------------------------------------------------------------------------


def with_placements(nodes, **sections):
    """The chain of five stations, with the units behind the cut at one of these nodes each."""
    candidates = {"candidates": [{"nodes": [name]} for name in nodes]}
    given = {"scenario": "highway", "framework": "multi-hop", "action": "priority", "placement": candidates}
    return gym.make("SplitLearning-v0", **given, **sections)


THREE = ("server", "edge-west", "edge-east")


def scores_of(policy, env, entries):
    observation = torch.tensor([[entries[name] for name in env.observation_space.names]], dtype=torch.float32)
    with torch.no_grad():
        mean = policy.get_distribution(observation).distribution.mean[0].tolist()
    said = dict(zip(env.action_space.names, mean, strict=True))
    return [said.pop(f"placement[{k}]") for k in range(sum("placement[" in name for name in said))], said


def entries_of(env, seed=0):
    rng = np.random.default_rng(seed)
    return {name: 1.0 if name.startswith("available") else rng.random() for name in env.observation_space.names}


def test_renumbering_placements_renumbers_their_scores_and_nothing_else():
    env, order = with_placements(THREE), [2, 0, 1]
    policy, entries = policy_of(env), entries_of(env)
    other = dict(entries)
    for feature in ("placement", "relocation", "behind_cut", "way"):
        other |= {f"{feature}[{k}]": entries[f"{feature}[{order[k]}]"] for k in range(3)}
    (scores, rest), (renumbered, others) = scores_of(policy, env, entries), scores_of(policy, env, other)
    assert renumbered == pytest.approx([scores[k] for k in order], abs=1e-6)
    assert others == pytest.approx(rest, abs=1e-6)
    assert np.ptp(scores) > 1e-3


@pytest.mark.parametrize("feature", ["placement", "relocation", "behind_cut", "way"])
def test_a_score_depends_on_what_is_shown_of_its_placement(feature):
    env = with_placements(THREE)
    policy, entries = policy_of(env), entries_of(env)
    changed = entries | {f"{feature}[1]": 1 - entries[f"{feature}[1]"]}
    assert abs(scores_of(policy, env, entries)[0][1] - scores_of(policy, env, changed)[0][1]) > 1e-4


@pytest.mark.parametrize("feature", ["station", "interruption", "wired"])
def test_scores_depend_on_what_is_shown_of_the_clients(feature):
    env = with_placements(THREE)
    policy, entries = policy_of(env), entries_of(env)
    changed = entries | {f"{feature}[4]": 1 - entries[f"{feature}[4]"]}
    one, other = (np.array(scores_of(policy, env, each)[0]) for each in (entries, changed))
    assert np.abs(one - other).min() > 1e-6


def test_untrained_it_takes_the_placement_of_the_fewest_seconds():
    env = with_placements(THREE)
    policy = EquivariantPolicy(env.observation_space, env.action_space, lambda _: 0.0)
    shown = {"relocation[0]": 0.4, "relocation[1]": 0.0, "relocation[2]": 0.4, "way[0]": 0.1, "way[1]": 0.6}
    shown |= {"way[2]": 0.3, **{f"behind_cut[{k}]": 0.1 for k in range(3)}}
    scores, _ = scores_of(policy, env, entries_of(env) | shown)
    assert scores == pytest.approx(np.tanh([-0.7, -0.9, -1.1]), abs=0.05)


def test_the_same_weights_fit_any_number_of_placements():
    few = with_placements(THREE)
    many = with_placements((*THREE, "edge-far-east"), clients={"count": 7})
    policy = policy_of(many, seed=1)
    policy.load_state_dict(policy_of(few).state_dict())
    many.reset(seed=0)
    action, _ = policy.predict(many.unwrapped.observe())
    assert many.action_space.contains(action)
    many.step(action)


def test_a_policy_that_scores_placements_has_to_see_them():
    seen = [*PER_CLIENT, *SCALARS]
    with pytest.raises(ValueError, match=r"action='priority', observation='standard'"):
        PPO(EquivariantPolicy, with_placements(THREE, observation=seen))


NORMALISING = {
    "NormalizeObservation": lambda env: DummyVecEnv([lambda: gym.wrappers.NormalizeObservation(env)]),
    "RescaleObservation": lambda env: DummyVecEnv(
        [lambda: gym.wrappers.RescaleObservation(env, np.float32(-1), np.float32(1))]
    ),
    "VecNormalize of one": lambda env: VecNormalize(DummyVecEnv([lambda: env])),
    "VecNormalize of several": lambda env: VecNormalize(surrogates(3)),
    "VecNormalize inside": lambda env: VecFrameStack(VecNormalize(surrogates(3)), 1),
}
"""What changes observations; `VecNormalize` does not say so in its space, the others do."""


def surrogates(count):
    return SB3VecEnv(count, scenario="iot", learner="surrogate", action="priority", clients={"count": 5})


@pytest.mark.parametrize("wrapped", NORMALISING.values(), ids=NORMALISING)
def test_normalised_observations_are_refused(wrapped):
    """At the first rollout at the latest."""
    with pytest.raises(ValueError, match=r"allowed: 0\.\.1, as the environment shows them: .*norm_obs=False") as caught:
        PPO(EquivariantPolicy, wrapped(make_env(learner="surrogate")), n_steps=4, batch_size=4).learn(12)
    assert "\n" not in str(caught.value)


def test_rewards_may_be_normalised():
    envs = VecNormalize(surrogates(3), norm_obs=False)
    assert PPO(EquivariantPolicy, envs, n_steps=4, batch_size=12, n_epochs=1).learn(12).num_timesteps == 12


def test_state_dependent_exploration_is_refused():
    with pytest.raises(ValueError, match="use_sde = True, allowed: False"):
        PPO(EquivariantPolicy, ENVS["plain"], use_sde=True)


def test_a_policy_does_not_answer_to_numbers_that_are_none():
    entries = drawn(np.random.default_rng(0), 5) | {"accuracy": np.nan}
    with pytest.raises(ValueError, match=r"values from nan to nan, allowed: 0\.\.1"):
        policy_of(ENVS["plain"]).predict(shown(ENVS["plain"], entries).numpy())
