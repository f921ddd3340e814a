"""The batch size as a factor of the plan that a scenario opens."""

import copy
import pickle
from dataclasses import replace
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from drawn import drawn
from rollouts import ACTIONS, LASTING, differences, play_on, rollout, sampled_actions

import splitgym  # noqa: F401 - registers the environment
from splitgym import data, models, schedulers
from splitgym.allocation import allocate, descent, exact, lower_bound, slack_clock
from splitgym.allocation.descent.cuts_by_client import cut_costs, exact_cuts
from splitgym.allocation.even_split import even_psd
from splitgym.frameworks import get, names
from splitgym.learning.learner import Learner
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan

SIZES = (2, 7, 12)
BY_CLIENT = [name for name in names() if get(name).batches_by_client]
ONE = np.ones(3, bool)


def sized(
    framework: str = "psl", action: str = "schedule", sizes: Any = SIZES, own: bool = True, **options: Any
) -> Any:
    """Three clients with a batch size of 7, if nobody decides another one."""
    sections = {
        "clients": {"count": 3},
        "radio": {"subchannels": 4},
        "task": {"train_samples": 100, "evaluation_samples": 30, "model": "cnn"},
        "training": {"batch_size": 7},
        "episode": {**LASTING, "round_timeout_s": 1e4},
        "plan": {"batch_sizes": sizes, **({"batch_size": "by-client"} if own else {})},
    }
    for name, section in options.items():
        sections[name] = {**sections.get(name, {}), **section} if isinstance(section, dict) else section
    arguments = {"scenario": "toy", "framework": framework, "action": action, **sections}
    return gym.make("SplitLearning-v0", disable_env_checker=True, **arguments).unwrapped


def learner_of(env: Any) -> Learner:
    (learner,) = env._simulation.world._learner.learners
    return learner


def with_links(env: Any, **fields: Any) -> Decision:
    """Everybody takes part at cut layer 1, with an even share of the band."""
    owner = np.array([0, 1, 2, 0])
    decision = Decision(1, owner, even_psd(env.state, owner), ONE, 0.0)
    return replace(decision, **fields)


@pytest.mark.parametrize(("framework", "codecs"), drawn(16, BY_CLIENT, [("none",), ("uniform-4", "none"), ("c3:3",)]))
def test_bits_that_are_charged_are_those_that_were_sent(framework: str, codecs: tuple[str, ...]) -> None:
    if get(framework).asynchronous:
        # What is in flight is sent in one step and trained in another.
        return
    plan = {"codecs": codecs, "cut_layer": "by-client", "codec": "by-client"}
    env = sized(framework, plan={"batch_sizes": SIZES, "batch_size": "by-client", **plan})
    env.reset(seed=1)
    seen = set()
    for action in sampled_actions(env, 10):
        *_, info = env.step(action)
        if info["participants"].any():
            assert info["finite"]
            sent = sum(learner_of(env).traffic_bits.values())
            assert sent == pytest.approx(info["traffic_bits"] - info["migration_bits"], rel=1e-12)
            seen.add(sent)
    assert len(seen) > (framework == "sl")


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("framework", ["epsl", "sl", "fl", "cpsl", "hierarchical", "u-shaped"])
def test_the_usual_size_is_the_closed_scenario_to_the_bit(framework: str, own: bool) -> None:
    """A size for each client weighs by rows, if the scenario does not say that it shall not."""
    data_weights = {"training": {"weigh_by": "data"}} if own else {}
    opened, closed = sized(framework, own=own, **data_weights), sized(framework, sizes=(), own=False)
    for env in (opened, closed):
        env.reset(seed=4)
    for action in sampled_actions(closed, 5):
        decision = closed.decode(action)
        _, *rest, info = closed.play(decision)
        _, *others, told = opened.play(decision)
        assert told.pop("batch_size") == 7
        assert not differences([rest, info], [others, told])
        assert opened.observation_names[: len(closed.observation_names)] != opened.observation_names
    if own:
        equal, expected = opened.play(replace(decision, batch_size=np.full(3, 7))), closed.play(decision)
        assert equal[-1]["loss"] == expected[-1]["loss"]
        assert equal[-1]["round_latency_s"] == pytest.approx(expected[-1]["round_latency_s"], rel=1e-12)


def test_a_common_size_is_the_scenario_that_has_it_to_the_bit() -> None:
    """Any size of the range, also one that is not listed; with phi, whose rows are a share of it."""
    for size in (2, 5, 12):
        opened = sized("epsl", own=False)
        closed = sized("epsl", sizes=(), own=False, training={"batch_size": size})
        for env in (opened, closed):
            env.reset(seed=2)
        decision = with_links(closed, aggregation_ratio=0.5)
        _, *rest, info = closed.play(decision)
        _, *others, told = opened.play(replace(decision, batch_size=size))
        assert told.pop("batch_size") == size
        assert not differences([rest, info], [others, told])


def test_seconds_joules_and_bits_by_hand() -> None:
    """PSL with sizes 2, 7, 12 at cut layer 1, from the network's FLOPs and bits."""
    env = sized()
    env.reset(seed=0)
    state, sizes = env.truth, np.array([2, 7, 12])
    costs = models.measure("cnn", *data.dimensions("digits"), "7x7").profile
    decision = with_links(env, batch_size=sizes)
    cost = round_cost(state, decision)
    clients, server, radio = env.scenario.clients, env.scenario.server, env.scenario.radio
    psd, hz = decision.power_w_per_hz, state.subchannel_hz
    noise = 10 ** (radio.noise_psd_dbm_per_hz / 10) / 1000
    downlink = 10 ** (radio.downlink_psd_dbm_per_hz / 10) / 1000
    owns = decision.assignment == np.arange(3)[:, None]
    up = (owns * hz * np.log2(1 + psd * state.channel_gain / noise)).sum(1)
    down = (owns * hz * np.log2(1 + downlink * state.channel_gain / noise)).sum(1)
    forward_s = sizes * clients.cycles_per_flop * costs.forward_flops[0] / state.client_hz
    backward_s = sizes * clients.cycles_per_flop * costs.backward_flops[0] / state.client_hz
    bits = sizes * costs.activation_bits[0]
    flops = sum(costs.forward_flops[1:]) + sum(costs.backward_flops[1:])
    server_s = sizes.sum() * server.cycles_per_flop * flops / state.server_hz
    expected = (forward_s + bits / up).max() + server_s + (bits / down + backward_s).max()
    assert cost.latency_s == pytest.approx(expected, rel=1e-12)
    assert cost.traffic_bits == pytest.approx(2 * bits.sum(), rel=1e-12)
    sending_w = (owns * psd * hz).sum(1)
    joules = clients.switched_capacitance * state.client_hz**3 * (forward_s + backward_s) + sending_w * bits / up
    np.testing.assert_allclose(cost.client_energy_j, joules, rtol=1e-12)


def test_mini_batches_really_have_so_many_rows_of_the_client_s_data() -> None:
    """And the next ones go on where these end; one with less data than rows begins again with all of it."""
    env = sized(sizes=(2, 40), clients={"count": 3})
    env.reset(seed=0)
    samples, left = env.state.samples, env.state.samples_left
    np.testing.assert_array_equal(samples, learner_of(env).class_counts.sum(1))
    np.testing.assert_array_equal(left, samples)
    assert samples.max() < 40
    for sizes in ([2, 30, 40], [38, 3, 2]):
        env.play(with_links(env, batch_size=np.array(sizes)))
        left = (left - sizes) % samples
        np.testing.assert_array_equal(env.state.samples_left % samples, left)
        np.testing.assert_array_equal(env.state.client_batch_size, sizes)
    *_, info = env.play(with_links(env, batch_size=np.array([9, 9, 9]), selected=np.array([True, False, True])))
    assert info["participants"].tolist() == [True, False, True]
    np.testing.assert_array_equal(env.state.client_batch_size, [9, 3, 9])
    np.testing.assert_array_equal(env.state.samples_left % samples, (left - [9, 0, 9]) % samples)


@pytest.mark.parametrize(("weigh_by", "rows"), [(None, True), ("rows", True), ("data", False)])
def test_the_loss_of_a_round_weighs_clients_as_their_gradients(weigh_by: str | None, rows: bool) -> None:
    env = sized(training={"weigh_by": weigh_by}, task={"partition": "dirichlet"})
    env.reset(seed=0)
    sizes = np.array([2, 12, 5])
    *_, info = env.play(with_links(env, batch_size=sizes))
    weights = sizes / sizes.sum() if rows else env.state.data_share
    assert info["loss"] == pytest.approx(weights @ env.state.client_loss, rel=1e-6)
    assert abs(weights @ env.state.client_loss - env.state.client_loss.mean()) > 1e-4


@pytest.mark.parametrize("action", ACTIONS)
def test_entries_of_actions(action: str) -> None:
    def entries(env: Any) -> int:
        return int(np.prod(env.action_space.shape))

    closed = sized(action=action, sizes=(), own=False)
    assert entries(sized(action=action, own=False)) == entries(closed) + 1
    assert entries(sized(action=action)) == entries(closed) + 3
    assert "batch_size" not in closed.reset(seed=0)[1]
    assert "batch_size" not in closed.step(closed.action_space.sample())[-1]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
def test_actions_choose_from_the_list_and_phi_is_0_where_sizes_differ(action: str, own: bool) -> None:
    env = sized("epsl", action, own=own)
    env.reset(seed=0)
    seen, aggregated = set(), 0
    for sample in sampled_actions(env, 12):
        decision = env.decode(sample)
        sizes = np.broadcast_to(decision.batch_size, 3)
        seen |= set(sizes.tolist())
        assert not (len(set(sizes[decision.selected])) > 1 and decision.aggregation_ratio > 0)
        aggregated += decision.aggregation_ratio > 0
        assert np.array_equal(env.decode(env.encode(decision)).batch_size, decision.batch_size)
        *_, info = env.step(sample)
        assert np.array_equal(info["batch_size"], decision.batch_size)
        assert np.shape(info["batch_size"]) == ((3,) if own else ())
    assert seen == set(SIZES)
    assert aggregated or own
    # What is not listed is played as it is; an action says the nearest.
    decision = with_links(env, batch_size=6)
    assert np.all(env.decode(env.encode(decision)).batch_size == 7)
    assert env.play(decision)[-1]["batch_size"] == 6


def test_what_cannot_be_played_is_refused_in_words() -> None:
    env, common, closed = sized("epsl"), sized("epsl", own=False), sized("epsl", sizes=(), own=False)
    for each in (env, common, closed):
        each.reset(seed=0)
    apart = np.array([2, 7, 7])
    for each, fields, message in [
        (
            env,
            {"batch_size": apart, "aggregation_ratio": 0.5},
            r"batch_size = \[2 7 7\], allowed: one for all with aggr",
        ),
        (env, {"batch_size": 13}, r"Decision.batch_size = 13, allowed: 0..12"),
        (env, {"batch_size": -1}, r"Decision.batch_size = -1, allowed: 0..12"),
        (env, {"batch_size": 1}, r"Decision.batch_size = 1, allowed: 2..12, or 0: that of the scenario"),
        (env, {"batch_size": np.array([2, 1, 7])}, r"Decision.batch_size = \[2 1 7\], allowed: 2..12, or 0"),
        (env, {"batch_size": 7.0}, r"Decision.batch_size = 7.0, allowed: 0..12"),
        (env, {"batch_size": np.zeros(2, int)}, r"Decision.batch_size has shape \(2,\), allowed: \(\) or \(3,\)"),
        (common, {"batch_size": apart}, r"Decision.batch_size has shape \(3,\), allowed: \(\)"),
        (closed, {"batch_size": 7}, r"Decision.batch_size = 7, allowed: 0..0"),
    ]:
        with pytest.raises(ValueError, match=message):
            each.play(with_links(each, **fields))
        with pytest.raises(ValueError, match=r"Decision.batch_size"):
            learner_of(each).round(with_links(each, **fields))
    # Who takes no part, and who leaves it to the scenario, differs from nobody.
    two = np.array([False, True, True])
    *_, info = env.play(with_links(env, batch_size=np.array([2, 7, 0]), selected=two, aggregation_ratio=0.5))
    assert (info["aggregation_ratio"], info["batch_size"].tolist()) == (0.5, [2, 7, 7])


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"plan": {"batch_sizes": [8]}}, r"batch_sizes = \[8\], allowed: two or more in increasing order, or none"),
        ({"plan": {"batch_sizes": [8, 4]}}, r"batch_sizes = \[8, 4\], allowed: two or more in increasing order"),
        ({"plan": {"batch_sizes": [0, 4]}}, r"plan.batch_sizes.0 = 0"),
        ({"plan": {"batch_size": "each"}}, r"plan.batch_size = 'each'"),
        (
            {"plan": {"batch_sizes": [8, 16]}, "training": {"batch_size": 4}},
            r"training.batch_size = 4, that of schedulers that choose none, with plan.batch_sizes = \[8, 16\], "
            r"allowed: 8..16",
        ),
        (
            {"plan": {"batch_sizes": [1, 16]}, "task": {"model": "resnet18"}},
            r"plan.batch_sizes = 1: batch norm of task.model 'resnet18' needs at least 2",
        ),
        (
            {"plan": {"batch_sizes": [1, 100000]}, "clients": {"count": 1000}},
            r"clients.count = 1000 times plan.batch_sizes up to 100000",
        ),
    ],
)
def test_scenarios_that_are_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message) as refused:
        build("toy", sections)
    assert "\n" not in str(refused.value)


def test_what_batch_sizes_do_not_go_with_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"plan.batch_sizes = \[2, 12\] with learner = 'surrogate'"):
        sized("epsl", sizes=(2, 12), own=False, learner="surrogate")
    with pytest.raises(ScenarioError, match=r"training.weigh_by = 'rows' with learner = 'surrogate'"):
        sized("epsl", sizes=(), own=False, training={"weigh_by": "rows"}, learner="surrogate")
    with pytest.raises(
        ScenarioError, match=r"plan.batch_size = 'by-client' with framework 'epsl-pt', allowed: 'common'"
    ):
        sized("epsl-pt")
    with pytest.raises(
        ScenarioError, match=r"plan.batch_sizes = \[7, 2000\]: with the other factors there are \d+ plans"
    ):
        sized("epsl", sizes=(7, 2000))
    assert set(names()) - set(BY_CLIENT) == {"epsl-pt"}


def test_phased_aggregation_goes_on_with_a_common_size() -> None:
    env = sized("epsl-pt", own=False, training={"switch_round": 2})
    env.reset(seed=0)
    played = [info for *_, info in play_on(env, sampled_actions(env, 4))]
    assert [float(info["aggregation_ratio"]) for info in played] == [1.0, 1.0, 0.0, 0.0]


def test_left_out_rows_are_those_that_the_smallest_mini_batch_allows() -> None:
    env = sized("psl-drop", sizes=(4, 12), own=False)
    env.reset(seed=0)
    assert env.system.highest_ratio == 0.5
    with pytest.raises(ValueError, match=r"aggregation_ratio = 0.6, allowed with this framework: 0..0.5"):
        env.play(with_links(env, aggregation_ratio=0.6))
    *_, info = env.play(with_links(env, aggregation_ratio=0.5, batch_size=4))
    assert info["finite"]


@pytest.mark.parametrize("framework", ["psl", "epsl", "sfl-v2", "cpsl", "sl", "u-shaped", "hierarchical"])
def test_the_descent_expects_what_the_round_takes(framework: str) -> None:
    """With batch sizes of the clients' own: among the cut layers it finds the best of those held."""
    env = sized(framework, scenario="bandwidth-limited", clients={"count": 5}, radio={"subchannels": 6}, sizes=(2, 60))
    for seed in range(2):
        env.reset(seed=seed)
        state, everybody, rng = env.state, np.ones(5, bool), np.random.default_rng(seed)
        sizes = rng.integers(2, 61, 5)
        found = descent(state, everybody, 0.0, batch_size=sizes)
        cost = round_cost(state, found.decision)
        assert cost.latency_s == pytest.approx(found.latency_s, rel=1e-9)
        np.testing.assert_array_equal(found.decision.batch_size, sizes)
        cuts = range(1, env.cut_layers + 1)
        held = [descent(state, everybody, 0.0, batch_size=sizes, cut_layer=cut).latency_s for cut in cuts]
        assert found.latency_s == pytest.approx(min(held), rel=1e-9)
        common = [descent(state, everybody, 0.0, batch_size=size).latency_s for size in (2, 30, 60)]
        assert common == sorted(common)
        assert round_cost(state, allocate(state, Plan(1, 0.5, batch_size=sizes), everybody)).latency_s > 0


def test_bounds_know_batch_sizes_that_are_settled() -> None:
    env = sized(sizes=(2, 60))
    env.reset(seed=0)
    settled = replace(env.state, prescribed_batch_size=np.array([60, 2, 30]))
    found = descent(settled, ONE, 0.0)
    best = exact(settled, ONE, 0.0, tolerance=1e-3, time_limit_s=20)
    assert lower_bound(settled, ONE, 0.0) <= best.latency_s * (1 + 1e-6)
    assert best.bound_s <= found.latency_s * (1 + 1e-6)
    said = replace(found.decision, batch_size=settled.prescribed_batch_size)
    assert round_cost(env.state, said).latency_s == pytest.approx(found.latency_s, rel=1e-9)
    assert found.latency_s != pytest.approx(descent(env.state, ONE, 0.0).latency_s, rel=1e-3)


@pytest.mark.parametrize("framework", ["psl", "sfl-v1"])
def test_exact_cuts_are_the_best_of_all_for_the_batch_sizes_that_are_settled(framework: str) -> None:
    own = {"batch_sizes": (2, 60), "batch_size": "by-client", "cut_layer": "by-client"}
    env = sized(framework, scenario="iot", plan=own)
    different = 0
    for seed in range(4):
        env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        sizes, speeds = rng.integers(2, 61, 3), 10 ** rng.uniform(7.5, 10.5, 3)
        state = replace(env.state, prescribed_batch_size=sizes, client_hz=speeds, server_hz=1e8)
        decision = descent(state, ONE, 0.0, cut_layer=1).decision
        cuts = exact_cuts(cut_costs(state, decision, np.arange(3)))
        seconds = {
            tried: float(round_cost(state, replace(decision, cut_layer=np.array(tried))).latency_s)
            for tried in product(range(1, env.cut_layers + 1), repeat=3)
        }
        assert seconds[tuple(cuts.tolist())] == pytest.approx(min(seconds.values()), rel=1e-9)
        different += len(set(cuts.tolist())) > 1
    assert different > 2


def test_slack_clocks_keep_the_latency() -> None:
    env = sized(plan={"clock": "decided"})
    env.reset(seed=1)
    decision = with_links(env, batch_size=np.array([2, 12, 7]))
    slow, full = (round_cost(env.state, each) for each in (slack_clock(env.state, decision), decision))
    assert slow.latency_s == pytest.approx(full.latency_s, rel=1e-9)
    assert slow.client_energy_j.sum() < full.client_energy_j.sum()


def test_memory_grows_with_the_batch_size() -> None:
    """A client whose memory ends between two sizes takes part with the smaller one only."""
    limited = {"count": 3, "memory_min_bytes": 1e5, "memory_max_bytes": 1e6}
    env = sized(clients=limited, sizes=(2, 100), training={"batch_size": 2})
    env.reset(seed=0)
    memory, state = env.system.memory, env.state
    need = [memory.client[Plan(1, batch_size=size).indices(state)[0]] for size in range(2, 101)]
    np.testing.assert_allclose(np.diff(need), need[1] - need[0])
    able = int(np.searchsorted(need, state.client_memory_bytes[0], side="right")) + 1
    assert 2 < able < 100
    sizes = np.array([able, 2, 2])
    for more, left_out in ((0, False), (1, True)):
        *_, info = env.play(with_links(env, batch_size=sizes + np.array([more, 0, 0])))
        assert info["without_memory"].tolist() == [left_out, False, False]


@pytest.mark.parametrize("own", [False, True])
def test_masked_sizes_fit_into_the_memory_of_nobody(own: bool) -> None:
    limited = {"count": 3, "memory_min_bytes": 5e4, "memory_max_bytes": 1e6}
    env = sized(action="discrete", clients=limited, sizes=(2, 7, 30, 60, 100, 400), own=own)
    masked = 0
    for seed in range(8):
        env.reset(seed=seed)
        memory, state = env.system.memory, env.state
        masks = env.action_masks()
        assert env.action_space.nvec.sum() == len(masks)
        levels = [masks[end - 6 : end] for end in np.cumsum(env.action_space.nvec)[env.action_space.nvec == 6]]
        assert len(levels) == (3 if own else 1)
        for client, allowed in enumerate(levels):
            holders = [client] if own else range(3)
            for size, useful in zip(env.system.batch_sizes, allowed, strict=True):
                plans = [int(Plan(cut, batch_size=size).indices(state)[0]) for cut in range(1, env.cut_layers + 1)]
                fits = (memory.client[plans] <= state.client_memory_bytes[list(holders)][:, None]).any()
                assert useful or not fits
                masked += not useful
            assert allowed.any()
    assert masked > 4


@pytest.mark.parametrize("own", [False, True])
def test_every_scheduler_plays(own: bool) -> None:
    env = sized("epsl", own=own, training={"aggregation_ratio": 0.5})
    for name in sorted(set(schedulers.names()) - {"tuned", "best-fixed", "gpsl", "rollout"}):
        env.reset(seed=2)
        *_, info = env.play(schedulers.make(name, env).decide(env.state))
        assert info["participants"].any(), name
        assert np.all(np.isin(info["batch_size"], SIZES if name == "random" else 7)), name


def test_a_rule_holds_its_batch_size() -> None:
    env = sized("epsl", training={"aggregation_ratio": 0.5}, own=False)
    env.reset(seed=0)
    for size in (2, 6, 12):
        for options in ({}, {"selection": "deadline"}, {"allocation": "ablation-d", "clock": "slack"}):
            decision = schedulers.make("slack-clock" if options.pop("clock", None) else "greedy", env, batch_size=size)
            assert decision.decide(env.state).batch_size == size
        decision = schedulers.make("greedy", env, batch_size=size).decide(env.state)
        expected = descent(env.state, ONE, 0.5, batch_size=size)
        assert round_cost(env.state, decision).latency_s == pytest.approx(expected.latency_s, rel=1e-9)
    with pytest.raises(ValueError, match=r"batch_size = 13, allowed: 2..12$"):
        schedulers.make("greedy", env, batch_size=13)
    closed = sized("epsl", sizes=(), own=False)
    with pytest.raises(ValueError, match=r"batch_size = 7, allowed: None, as nobody decides it"):
        schedulers.make("greedy", closed, batch_size=7)


def test_the_batch_size_of_each_client_and_what_it_has_left_are_observed() -> None:
    env = sized()
    seen, _ = env.reset(seed=0)
    sizes, left = (
        [env.observation_names.index(f"{name}[{i}]") for i in range(3)] for name in ("batch_size", "data_left")
    )
    assert not seen[sizes].any()
    np.testing.assert_array_equal(seen[left], 1)
    seen, *_ = env.play(with_links(env, batch_size=np.array([2, 12, 5]), selected=np.array([True, False, True])))
    np.testing.assert_allclose(seen[sizes], np.array([2, 0, 5]) / 12)
    np.testing.assert_allclose(seen[left], 1 - np.array([2, 0, 5]) / env.state.samples, rtol=1e-6)
    assert not env.reset(seed=1)[0][sizes].any()
    closed = sized(sizes=(), own=False).observation_names
    assert not any(name.startswith(("batch_size", "data_left")) for name in closed)


def test_batch_sizes_are_drawn_and_told() -> None:
    env = sized(render_mode="ansi")
    env.reset(seed=0)
    env.play(with_links(env, batch_size=np.array([2, 12, 5])))
    assert "batch size: 2 to 12" in env.render()
    env.play(with_links(env, batch_size=5))
    assert "batch size: 5" in env.render()
    frames = sized(render_mode="rgb_array")
    frames.reset(seed=0)
    frames.play(with_links(frames, batch_size=np.array([2, 12, 5])))
    closed = sized(sizes=(), own=False, render_mode="rgb_array")
    closed.reset(seed=0)
    closed.play(with_links(closed))
    assert not np.array_equal(frames.render(), closed.render())


@pytest.mark.parametrize(("framework", "own"), [("epsl", False), ("psl", True), ("async-psl", True)])
def test_vector_and_single_agree(framework: str, own: bool) -> None:
    single = sized(framework, own=own, family={"clients": (2, 3)})
    arguments = dict(single.spec.kwargs) | {"action": "discrete"}
    assert_vector_agrees(2, 3, ("batch_size", "traffic_bits", "loss", "accuracy"), **arguments)


def test_what_is_in_flight_keeps_its_batch_size() -> None:
    env = sized("async-psl", training={"quorum": 1})
    env.reset(seed=0)
    seen = np.zeros(3, int)
    for sizes in ([12, 12, 2], [2, 2, 12], [7, 7, 7]):
        before, in_flight = env.state, env.state.in_flight
        *_, info = env.play(with_links(env, batch_size=np.array(sizes)))
        np.testing.assert_array_equal(info["batch_size"], np.where(in_flight, seen, sizes))
        begun = info["in_flight"] | info["participants"]
        seen = np.where(begun, info["batch_size"], seen)
        took_part = info["participants"]
        used = (before.samples_left - env.state.samples_left) % env.state.samples
        np.testing.assert_array_equal(used, info["batch_size"] * took_part)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_on_as_the_original(copied: Any) -> None:
    env = sized()
    actions = sampled_actions(env, 6)
    rollout(env, 3, actions[:3])
    other = copied(env)
    assert not differences(play_on(env, actions[3:]), play_on(other, actions[3:]))


def test_a_learner_that_was_saved_goes_on_to_the_bit() -> None:
    env = sized()
    env.reset(seed=0)
    one, other = (Learner(env.scenario, "psl", 3, "cpu") for _ in range(2))
    decision = with_links(env, batch_size=np.array([2, 12, 5]))
    one.round(decision)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.samples_left, other.samples_left)
    assert one.round(decision).loss == other.round(decision).loss
