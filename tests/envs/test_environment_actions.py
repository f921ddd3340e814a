"""The encodings: what they can say they say exactly; every action means a valid decision; masks hide nothing useful."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rollouts import ACTIONS, CASES, LASTING, differences, fields_of, make, sampled_actions

from splitgym.allocation import allocate, descent, equal_shares, form_clusters
from splitgym.envs.actions import codec
from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan

SEEDS = st.integers(0, 2**32 - 1)


BOXES = ("continuous", "priority")


def decoded(coder, action, state):
    """The decision of one world."""
    return coder.decode(action[None], state.batch()).world(0)


def started(*arguments, seed=1, **options):
    env = make(*arguments, **options)
    env.reset(seed=seed)
    return env


ENVS = {case: started(*case) for case in CASES}
"""Shared by the tests that only encode and decode, which leaves an environment as it is."""
every_case = pytest.mark.parametrize("case", CASES, ids="-".join)


def check_by_hand(decision, state):
    """The conditions of a valid decision, written out again."""
    clients, subchannels = state.channel_gain.shape
    assert 1 <= decision.cut_layer <= state.system.cut_layers
    assert decision.cut_layer == int(decision.cut_layer)
    assert decision.assignment.shape == decision.power_w_per_hz.shape == (subchannels,)
    assert decision.assignment.dtype.kind == "i"
    assert set(decision.assignment.tolist()) <= set(range(-1, clients))
    assert np.isfinite(decision.power_w_per_hz).all()
    assert (decision.power_w_per_hz >= 0).all()
    assert decision.selected.shape == (clients,)
    assert decision.selected.dtype == bool
    assert 0 <= decision.aggregation_ratio <= 1


@every_case
@given(seed=SEEDS)
def test_every_sampled_action_is_a_valid_decision(case, seed):
    env = ENVS[case]
    (action,) = sampled_actions(env, 1, seed)
    check_by_hand(env.decode(action), env.state)


@every_case
@given(seed=SEEDS)
def test_decoded_action_encodes_to_one_that_means_the_same(case, seed):
    """Decisions that come from an action are what the encoding can say."""
    env = ENVS[case]
    (action,) = sampled_actions(env, 1, seed)
    decision = env.decode(action)
    encoded = env.encode(decision)
    assert env.action_space.contains(encoded)
    if case[2] not in BOXES:
        assert np.array_equal(encoded, action)
    again = env.decode(encoded)
    assert again.cut_layer == decision.cut_layer
    assert np.array_equal(again.selected, decision.selected)
    assert again.aggregation_ratio == pytest.approx(decision.aggregation_ratio, abs=1e-6)
    if case[2] != "continuous":
        assert np.array_equal(again.assignment, decision.assignment)
        assert np.array_equal(again.power_w_per_hz, decision.power_w_per_hz)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
@pytest.mark.parametrize("level", [0, -1])
def test_extreme_decisions_can_be_encoded(action, level):
    env = ENVS["iot", "epsl", action]
    none = np.zeros(8, bool)
    decision = equal_shares(env.state, Plan(3 if level else 1, float(-level)), none)
    encoded = env.encode(decision)
    assert env.action_space.contains(encoded)
    assert not env.decode(encoded).selected.any()
    assert env.decode(encoded).cut_layer == decision.cut_layer


# Discrete ----------------------------------------------------------------------------------------------------------


def test_discrete_action_by_hand():
    """Toy: cut 2; subchannel 0 unused, 1 of client 0; 1/8 and 1/4 of 1 W on 1 MHz; client 1 out; phi 0.75."""
    decision = ENVS["toy", "epsl", "discrete"].decode(np.array([1, 2, 0, 1, 2, 1, 0, 3]))
    assert decision.cut_layer == 2
    assert decision.assignment.tolist() == [-1, 0]
    assert decision.power_w_per_hz == pytest.approx([0.125e-6, 0.25e-6])
    assert decision.selected.tolist() == [True, False]
    assert decision.aggregation_ratio == 0.75


@given(
    cut=st.integers(1, 2),
    assignment=st.tuples(*[st.integers(-1, 1)] * 2),
    levels=st.tuples(*[st.sampled_from([0.0625, 0.125, 0.25, 0.5, 1.0])] * 2),
    selected=st.tuples(*[st.booleans()] * 2),
    phi=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
def test_discrete_encoding_says_every_decision_on_its_levels(cut, assignment, levels, selected, phi):
    env = ENVS["toy", "epsl", "discrete"]
    decision = Decision(cut, np.array(assignment), np.array(levels) * 1e-6, np.array(selected), phi)
    again = env.decode(env.encode(decision))
    assert (again.cut_layer, again.assignment.tolist(), again.selected.tolist()) == (
        cut,
        list(assignment),
        list(selected),
    )
    assert again.power_w_per_hz == pytest.approx(decision.power_w_per_hz)
    assert again.aggregation_ratio == phi


@pytest.mark.parametrize(("share", "level"), [(0.0, 0), (0.09, 0), (0.1, 1), (0.74, 3), (0.76, 4), (3.0, 4)])
def test_power_goes_to_the_nearest_level(share, level):
    env = ENVS["toy", "epsl", "discrete"]
    decision = Decision(1, np.array([0, 1]), np.array([share * 1e-6, 1e-6]), np.ones(2, bool), 0.0)
    assert env.encode(decision)[3] == level


@pytest.mark.parametrize(("phi", "level"), [(0.1, 0), (0.13, 1), (0.9, 4)])
def test_phi_goes_to_the_nearest_level(phi, level):
    for action in ("discrete", "schedule"):
        env = ENVS["toy", "epsl", action]
        assert env.encode(equal_shares(env.state, Plan(1, phi), np.ones(2, bool)))[-1] == level


def test_levels_come_from_the_scenario():
    env = make(actions={"power_levels": (0.5,), "aggregation_levels": (0.0, 0.1, 1.0)})
    assert env.action_space.nvec.tolist() == [2, 3, 3, 1, 1, 2, 2, 3]
    assert env.aggregation_levels == (0.0, 0.1, 1.0)


# Continuous --------------------------------------------------------------------------------------------------------


def box(cut=0.0, selected=(), demand=(), power=(), phi=-1.0, clients=8):
    """An action of the Box; not mentioned: out, no demand, full power."""
    parts = [np.full(clients, -1.0), np.full(clients, -1.0), np.full(clients, 1.0)]
    for part, values in zip(parts, (selected, demand, power), strict=True):
        for client, value in dict(values).items():
            part[client] = value
    return np.concatenate([[cut], *parts, [phi]]).astype(np.float32)


def counts(decision, clients=8):
    owners = decision.assignment[decision.assignment >= 0]
    return np.bincount(owners, minlength=clients)


def test_continuous_demands_of_three_to_one_get_six_and_two_of_eight():
    env = ENVS["iot", "epsl", "continuous"]
    decision = env.decode(box(selected={2: 1, 5: 1}, demand={2: 0.5, 5: -0.5}))  # shares 0.75 and 0.25
    assert counts(decision).tolist() == [0, 0, 6, 0, 0, 2, 0, 0]


def test_continuous_everybody_who_is_in_gets_at_least_one():
    env = ENVS["iot", "epsl", "continuous"]
    decision = env.decode(box(selected=dict.fromkeys(range(8), 1), demand={0: 1.0}))
    assert counts(decision).tolist() == [1] * 8
    decision = env.decode(box(selected={0: 1, 1: 1, 2: 1}, demand={0: 1.0}))
    assert counts(decision)[:3].tolist() == [6, 1, 1]


def test_continuous_without_any_demand_shares_are_even():
    decision = ENVS["iot", "epsl", "continuous"].decode(box(selected=dict.fromkeys(range(4), 1)))
    assert counts(decision)[:4].tolist() == [2, 2, 2, 2]


@given(
    demands=st.dictionaries(st.integers(0, 7), st.floats(-1, 1, width=32), min_size=1, max_size=8),
)
def test_continuous_counts_follow_the_demands(demands):
    env = ENVS["iot", "epsl", "continuous"]
    decision = env.decode(box(selected=dict.fromkeys(demands, 1.0), demand=demands))
    got = counts(decision)
    assert got.sum() == 8
    assert set(np.flatnonzero(got)) == set(demands)
    share = {client: (np.float64(np.float32(value)) + 1) / 2 for client, value in demands.items()}
    total = sum(share.values())
    if total > 0:
        quota = {client: 8 * value / total for client, value in share.items()}
        for client, value in quota.items():
            assert got[client] < value + 1 + 1e-9 or got[client] == 1
            if min(quota.values()) >= 1:
                assert got[client] > value - 1 - 1e-9
        ordered = sorted(share, key=share.get)
        # An ulp of rounding may slot a tie, but not more.
        assert all(got[a] <= got[b] + (share[b] - share[a] < 1e-9) for a, b in pairwise(ordered))


def test_continuous_more_clients_than_subchannels_serves_the_highest_demands():
    env = started(action="continuous", clients={"count": 4})
    decision = env.decode(box(selected=dict.fromkeys(range(4), 1), demand={0: 0.1, 1: 0.9, 2: 0.2, 3: 0.5}, clients=4))
    assert counts(decision, 4).tolist() == [0, 1, 0, 1]


def test_continuous_clients_choose_their_best_subchannels_in_turns():
    env = ENVS["iot", "epsl", "continuous"]
    gain = env.state.channel_gain
    demand = {3: 0.5, 6: 0.0, 1: -0.5}  # shares 0.75, 0.5, 0.25: 4, 3 and 1 of 8
    decision = env.decode(box(selected=dict.fromkeys(demand, 1.0), demand=demand))
    assert counts(decision)[[3, 6, 1]].tolist() == [4, 3, 1]
    free, expected = set(range(8)), {}
    for client in (3, 6, 1, 3, 6, 3, 6, 3):
        best = max(free, key=lambda k, client=client: gain[client, k])
        free.remove(best)
        expected[best] = client
    assert decision.assignment.tolist() == [expected[k] for k in range(8)]


def test_continuous_power_is_a_share_of_the_budget_spread_evenly():
    env = ENVS["iot", "epsl", "continuous"]
    decision = env.decode(box(selected={0: 1, 1: 1}, power={0: 0.0, 1: -1.0}))
    p_max = 10 ** (env.scenario.radio.client_power_max_dbm / 10) / 1000
    assert decision.power_w_per_hz[decision.assignment == 0] == pytest.approx([0.5 * p_max / (4 * 180e3)] * 4)
    assert decision.power_w_per_hz[decision.assignment == 1].tolist() == [0] * 4


@pytest.mark.parametrize(("value", "cut"), [(-1, 1), (-0.34, 1), (-0.33, 2), (0.33, 2), (0.34, 3), (1, 3)])
def test_continuous_cut_layers_share_the_interval_evenly(value, cut):
    assert ENVS["iot", "epsl", "continuous"].decode(box(cut=value)).cut_layer == cut


@pytest.mark.parametrize(("value", "selected"), [(-1, False), (0, False), (1e-6, True), (1, True)])
def test_continuous_client_is_in_above_zero(value, selected):
    assert ENVS["iot", "epsl", "continuous"].decode(box(selected={4: value})).selected[4] == selected


@pytest.mark.parametrize(("value", "phi"), [(-1, 0.0), (0, 0.5), (1, 1.0)])
def test_continuous_phi_is_the_last_component(value, phi):
    assert ENVS["iot", "epsl", "continuous"].decode(box(phi=value)).aggregation_ratio == phi


@given(
    cut=st.integers(1, 3),
    owners=st.lists(st.integers(0, 7), min_size=8, max_size=8),
    power=st.lists(st.floats(0, 1), min_size=8, max_size=8),
    phi=st.floats(0, 1),
)
def test_continuous_encoding_keeps_cut_selection_counts_powers_and_phi(cut, owners, power, phi):
    env = ENVS["iot", "epsl", "continuous"]
    p_max = env.state.system.client_power_max_w
    assignment = np.array(owners)
    own = np.bincount(assignment, minlength=8)
    psd = np.array(power)[assignment] * p_max / (own[assignment] * 180e3)
    decision = Decision(cut, assignment, psd, own > 0, phi)
    again = env.decode(env.encode(decision))
    assert again.cut_layer == cut
    assert np.array_equal(again.selected, decision.selected)
    assert np.array_equal(counts(again), own)
    assert again.aggregation_ratio == pytest.approx(phi, abs=1e-6)
    spent, meant = (np.bincount(d.assignment, d.power_w_per_hz * 180e3, minlength=8) / p_max for d in (again, decision))
    assert spent == pytest.approx(meant, abs=1e-6)


# Schedule ----------------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_schedule_is_the_papers_allocation(seed):
    env = ENVS["iot", "epsl", "schedule"]
    (action,) = sampled_actions(env, 1, seed)
    levels = (0.0, 0.25, 0.5, 0.75, 1.0)
    expected = allocate(env.state, Plan(int(action[0]) + 1, levels[action[9]]), action[1:9] == 1)
    got = env.decode(action)
    assert got.cut_layer == expected.cut_layer
    assert np.array_equal(got.assignment, expected.assignment)
    assert np.array_equal(got.power_w_per_hz, expected.power_w_per_hz)
    assert np.array_equal(got.selected, expected.selected)
    assert got.aggregation_ratio == expected.aggregation_ratio


# Priority ----------------------------------------------------------------------------------------------------------


def assert_same_decision(one, other):
    for name, value in vars(one).items():
        assert np.array_equal(value, getattr(other, name)), name


def priority(cut_layer=1, worth=(), patience=1.0, phi=0.0, clients=8):
    """An action of "priority": `worth` of the first clients as the action says it, 0 for the others."""
    values = [*worth, *[0.0] * (clients - len(worth))]
    return np.array([(2 * cut_layer - 1) / 3 - 1, *values, patience - 1, phi], np.float32)


@given(seed=SEEDS, cut=st.integers(1, 3), phi=st.sampled_from([-1.0, 0.0, 0.5, 1.0]))
def test_priority_without_patience_is_the_schedule_of_who_is_worth_something(seed, cut, phi):
    env = ENVS["iot", "epsl", "priority"]
    rng = np.random.default_rng(seed)
    worth = np.where(rng.random(8) < 0.5, -1.0, rng.uniform(-0.99, 1, 8))
    served = descent(env.state, worth > -1, max(phi, 0.0), cut_layer=cut, search=False).participants
    assume(served == (worth > -1).sum())
    got = env.decode(priority(cut, worth, patience=0.0, phi=phi))
    expected = allocate(env.state, Plan(cut, max(phi, 0.0)), worth > -1)
    assert_same_decision(got, expected)


def test_priority_takes_the_client_that_is_worth_more_of_two_equal_ones():
    env = make("toy", action="priority")
    env.reset(seed=0)
    for worth, who in (((0.9, -0.9), [True, False]), ((-0.9, 0.9), [False, True]), ((0.0, -1.0), [True, False])):
        assert env.decode(priority(1, worth, patience=2.0, clients=2)).selected.tolist() == who
    assert env.decode(priority(1, (-1.0, -1.0), clients=2)).selected.tolist() == [False, False]


@given(seed=SEEDS)
def test_priority_of_a_decision_brings_its_clients_back(seed):
    """If all of them are in time."""
    env = ENVS["iot", "epsl", "priority"]
    selected = np.random.default_rng(seed).random(8) < 0.5
    decision = allocate(env.state, Plan(2, 0.75), selected)
    assume(np.array_equal(round_cost(env.state, decision).participants, selected))
    action = env.encode(decision)
    assert env.action_space.contains(action)
    assert_same_decision(env.decode(action), decision)


# A framework that does not aggregate -------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_psl_has_no_phi_but_zero(action):
    env = ENVS["toy", "psl", action]
    assert env.aggregation_levels == (0.0,)
    assert {env.decode(sampled).aggregation_ratio for sampled in sampled_actions(env, 20)} == {0.0}
    if action in BOXES:
        assert env.action_space.shape == ({"continuous": 3 * 2 + 1, "priority": 2 + 2}[action],)
    else:
        assert env.action_space.nvec[-1] == 1


# What a framework allows or prescribes ------------------------------------------------------------------------------


def encoded(framework, action, preset="iot", **fields):
    """An encoding for a framework, and a state of it."""
    env = ENVS[preset, "epsl", action]
    scenario = build(env.scenario, fields.pop("scenario", {}))
    system = system_of(scenario, get(framework))
    return codec(action, scenario, system, get(framework)), replace(env.state, system=system, **fields)


@pytest.mark.parametrize(
    ("batch_size", "levels", "expected"),
    [
        (8, (0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.25, 0.5, 0.75)),  # 6 of 8 rows may go
        (10, (0.1, 0.8, 0.801), (0.1, 0.8)),
        (14, (0.5, 1 - 2 / 14, 0.9), (0.5, 1 - 2 / 14)),  # an ulp above 12 / 14
        (3, (0.5, 1.0), (0.0,)),
        (2, (0.0, 0.5), (0.0,)),
    ],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_levels_of_psl_drop_leave_two_rows(action, batch_size, levels, expected):
    scenario = {"training": {"batch_size": batch_size}, "actions": {"aggregation_levels": levels}}
    coder, state = encoded("psl-drop", action, scenario=scenario)
    assert tuple(coder.aggregation_levels) == expected
    if action == "priority":
        highest = decoded(coder, np.ones(11, np.float32), state).aggregation_ratio
        assert highest == pytest.approx((batch_size - 2) / batch_size)
        assert decoded(coder, np.zeros(11, np.float32), state).aggregation_ratio == 0
    elif action == "continuous":
        highest = decoded(coder, box(phi=1.0), state).aggregation_ratio
        assert highest == pytest.approx((batch_size - 2) / batch_size)
        assert decoded(coder, box(phi=0.0), state).aggregation_ratio == pytest.approx(highest / 2)
    else:
        assert coder.space.nvec[-1] == len(expected)


@given(phi=st.floats(0, 1))
def test_continuous_phi_of_psl_drop_comes_back_at_most_the_highest(phi):
    coder, state = encoded("psl-drop", "continuous", scenario={"training": {"batch_size": 8}})
    decision = equal_shares(state, Plan(1, phi), np.ones(8, bool))
    again = decoded(coder, coder.encode(decision, state), state)
    assert again.aggregation_ratio == pytest.approx(min(phi, 0.75), abs=1e-6)
    tiny, state = encoded("psl-drop", "continuous", scenario={"training": {"batch_size": 2}})
    action = tiny.encode(replace(decision, aggregation_ratio=0.0), state)
    assert tiny.space.contains(action)
    assert decoded(tiny, action, state).aggregation_ratio == 0


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("prescribed", [0.0, 1.0])
def test_every_action_takes_the_prescribed_phi(action, prescribed):
    coder, state = encoded("epsl-pt", action, prescribed_ratio=prescribed)
    coder.space.seed(0)
    for _ in range(5):
        decision = decoded(coder, coder.space.sample(), state)
        assert decision.aggregation_ratio == prescribed
        decision.check(state)
        assert coder.space.contains(coder.encode(decision, state))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("framework", ["cpsl", "sl", "epsl"])
def test_actions_form_clusters_where_these_take_slots(action, framework):
    coder, state = encoded(framework, action)
    coder.space.seed(3)
    seen = set()
    for _ in range(5):
        decision = decoded(coder, coder.space.sample(), state)
        formed = form_clusters(state, decision.plan, decision.selected)
        assert np.array_equal(decision.cluster, formed if framework == "cpsl" else np.zeros(8))
        seen |= set(decision.cluster)
    assert seen == ({0, 1} if framework == "cpsl" else {0})


# Masks -------------------------------------------------------------------------------------------------------------


def components(env, masks):
    """The flat mask, cut into one per component."""
    return np.split(masks, np.cumsum(env.action_space.nvec)[:-1])


@pytest.mark.parametrize("action", ["discrete", "schedule"])
@pytest.mark.parametrize("preset", ["toy", "iot", "epsl"])
def test_masks_have_one_value_for_each_value_of_each_component(preset, action):
    env = make(preset, action=action)
    if preset != "epsl":
        env.reset(seed=0)
        masks = env.action_masks()
        assert masks.dtype == bool
        assert masks.shape == (env.action_space.nvec.sum(),)
        assert masks.all(), "with everybody there is nothing to mask"


@pytest.mark.parametrize("action", ["discrete", "schedule"])
def test_who_is_away_is_masked_and_yet_legal(action):
    env = started(
        "iot", action=action, episode=LASTING, clients={"dropout_probability": 0.5, "return_probability": 0.3}, seed=4
    )
    everybody = np.ones(8, bool)
    seen_away = False
    for _ in range(4):
        away = ~env.state.available
        seen_away |= away.any()
        parts = components(env, env.action_masks())
        clients = parts[-9:-1]
        assert [list(part) for part in clients] == [[True, not gone] for gone in away]
        assert parts[0].all()
        assert parts[-1].all()
        assert all(part.any() for part in parts)
        if action == "discrete":
            for part in parts[1:9]:
                assert part.tolist() == [not gone for gone in away] + [True]
            assert all(part.all() for part in parts[9:17])
        # A masked-out action: everybody in, and every subchannel to somebody who is away.
        decision = equal_shares(env.state, Plan(1, 0.0), everybody)
        if away.any():
            decision = replace(decision, assignment=np.full(8, np.flatnonzero(away)[0]))
        *_, info = env.step(env.encode(decision))
        assert np.isfinite(info["round_latency_s"])
    assert seen_away


@pytest.mark.parametrize("action", BOXES)
def test_boxes_have_no_masks(action):
    env = started(action=action)
    with pytest.raises(AttributeError, match="no masks, allowed: action='discrete', 'schedule', 'rule'"):
        env.action_masks()


def test_masks_are_the_callers_own():
    env = started()
    env.action_masks()[:] = False
    assert env.action_masks().all()


@pytest.mark.parametrize("action", ACTIONS)
def test_the_encodings_of_other_environments_can_be_had(action):
    """Independent: an environment that is made with it."""
    env, other = make("iot", action="schedule"), make("iot", action=action)
    assert env.codec(action).space == other.action_space == other.codec().space
    env.reset(seed=1)
    other.reset(seed=1)
    other.action_space.seed(1)
    sampled = other.action_space.sample()
    decision = decoded(env.codec(action), sampled, env.state)
    assert not differences(fields_of(decision), fields_of(other.decode(sampled)))


def test_an_unknown_encoding_names_the_nearest():
    with pytest.raises(ValueError, match="action = 'priorit' is unknown, did you mean 'priority'"):
        make("iot").codec("priorit")
