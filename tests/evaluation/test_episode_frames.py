"""Episodes as tables: every number against what the step said, or against one that is worked out by hand."""

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from splitgym import schedulers
from splitgym.envs import SplitLearningEnv
from splitgym.evaluation import EpisodeLog, client_frame, compare, round_frame, run_episodes, write_frames
from splitgym.frameworks import names
from splitgym.types import Decision

DROPPING = {"clients": {"count": 6, "dropout_probability": 0.3}, "episode": {"max_rounds": 12}}


def logged(rounds=4, seed=1, action="schedule", **settings):
    """An episode of random actions; the log, and what every step returned."""
    log = EpisodeLog(
        gym.make("SplitLearning-v0", **{"scenario": "iot", "learner": "surrogate", **settings}, action=action)
    )
    log.action_space.seed(seed)
    log.reset(seed=seed)
    steps = []
    for _ in range(rounds):
        steps.append(log.step(log.action_space.sample()))
        if steps[-1][2] or steps[-1][3]:
            break
    return log, steps


def test_rounds_hold_what_the_steps_said():
    log, steps = logged(**DROPPING)
    frame = round_frame(log)
    assert list(frame["round"]) == [1, 2, 3, 4]
    for row, (_, reward, terminated, truncated, info) in zip(frame.to_dict("records"), steps, strict=True):
        assert (row["reward"], row["terminated"], row["truncated"]) == (reward, terminated, truncated)
        for name in ("round_latency_s", "elapsed_s", "energy_j", "traffic_bits", "migration_bits", "accuracy", "loss"):
            assert row[name] == info[name]
        assert (row["cut_layer"], row["aggregation_ratio"]) == (info["cut_layer"], info["aggregation_ratio"])
        assert (row["selected"], row["participants"]) == (info["selected"].sum(), info["participants"].sum())
        stages = {name.removeprefix("stages."): row[name] for name in row if name.startswith("stages.")}
        assert stages == info["stages"]
        assert sum(stages.values()) == pytest.approx(info["round_latency_s"])


def test_clients_add_up_to_their_rounds():
    log, steps = logged(8, **DROPPING)
    frame = client_frame(log)
    assert len(frame) == 8 * 6
    assert set(frame.loc[frame["participated"], "reason"]) == {""}
    assert "" not in set(frame.loc[~frame["participated"], "reason"])
    for (number, rows), (*_, info) in zip(frame.groupby("round"), steps, strict=True):
        assert number == info["round"]
        assert rows["selected"].tolist() == info["selected"].tolist()
        assert rows["participated"].tolist() == info["participants"].tolist()
        assert rows["energy_j"].tolist() == info["client_energy_j"].tolist()
        assert (rows["reason"] == "unavailable").sum() >= info["unavailable"].sum()
        assert (rows["seconds.uplink"] <= info["round_latency_s"]).all()
        assert rows["subchannels"].sum() <= 8


def test_a_round_of_toy_is_what_its_equations_say():
    """Both clients have one subchannel of 1 MHz: cycles over speed, bits over rate, and watts as decided."""
    log = EpisodeLog(SplitLearningEnv(scenario="toy", learner="surrogate"))
    log.reset(seed=0)
    truth, system = log.world.truth, log.world.system
    decision = Decision(1, np.array([0, 1]), np.array([1e-7, 2e-7]), np.array([True, True]), 0.0)
    log.play(decision)
    rows = client_frame(log)
    assert rows["power_w"].tolist() == pytest.approx([0.1, 0.2])
    assert rows["subchannels"].tolist() == [1, 1]
    program, plan = system.program, decision.plan.indices(truth)[0]
    work = dict(zip(program.stages, program.work[plan], strict=True))
    assert rows["seconds.client_fp"].tolist() == pytest.approx(work["client_fp"] / truth.client_hz)
    rate = 1e6 * np.log2(1 + np.array([1e-7, 2e-7]) * truth.channel_gain[[0, 1], [0, 1]] / system.noise_psd_w_per_hz)
    assert rows["seconds.uplink"].tolist() == pytest.approx(work["uplink"] / rate)


def test_who_was_left_out_is_named_with_the_reason():
    log = EpisodeLog(SplitLearningEnv(scenario="toy", learner="surrogate", clients={"count": 3}))
    log.reset(seed=0)
    everybody_without_one = Decision(1, np.array([0, 0]), np.full(2, 1e-8), np.array([True, True, False]), 0.0)
    log.play(everybody_without_one)
    rows = client_frame(log)
    assert rows["reason"].tolist() == ["", "no subchannel", "not selected"]
    assert rows["subchannels"].tolist() == [2, 0, 0]
    assert rows.filter(like="seconds.").loc[[1, 2]].to_numpy().tolist() == np.zeros((2, 8)).tolist()


@pytest.mark.parametrize("name", [name for name in names() if name != "centralised"])
def test_every_framework_has_the_latency_of_its_timeline(name):
    """What is worked out again for the tables is what the round was: its slots, flights and moving cuts included."""
    scenario = "stragglers" if name.startswith("async") else "iot"
    log, steps = logged(scenario=scenario, framework=name, learner="train", clients={"count": 3}, rounds=3)
    for played, (*_, info) in zip(log.rounds, steps, strict=True):
        assert played.cost.latency_s == info["round_latency_s"]
        assert played.cost.participants.tolist() == info["participants"].tolist()
        assert played.cost.seconds_by_stage() == info["stages"]
    assert len(client_frame(log)) == 9


def test_factors_of_each_clients_own_are_columns():
    log, steps = logged(
        2,
        scenario="narrowband",
        learner="train",
        framework="psl",
        plan={"cut_layer": "by-client", "codec": "by-client"},
    )
    rows = client_frame(log)
    assert rows["cut_layer"].tolist() == np.concatenate([info["cut_layer"] for *_, info in steps]).tolist()
    assert rows["codec"].tolist() == np.concatenate([info["codec"] for *_, info in steps]).tolist()
    assert "cut_layer" not in round_frame(log)


def test_only_clients_of_the_episode_have_rows():
    log, _ = logged(1, scenario="iot-family", seed=3)
    assert client_frame(log)["client"].tolist() == np.flatnonzero(log.rounds[0].truth.present).tolist()


@pytest.mark.parametrize("action", ["schedule", "discrete"])
def test_an_episode_is_the_same_with_a_log_and_without(action):
    settings = {"scenario": "iot", "learner": "surrogate", "action": action}
    _, steps = logged(5, action=action)
    plain = gym.make("SplitLearning-v0", **settings)
    plain.action_space.seed(1)
    plain.reset(seed=1)
    for observation, reward, _, _, info in steps:
        again, same, _, _, plain_info = plain.step(plain.action_space.sample())
        assert np.array_equal(observation, again)
        assert (reward, info["accuracy"], info["elapsed_s"]) == (same, plain_info["accuracy"], plain_info["elapsed_s"])


def test_a_log_begins_again_with_each_episode():
    log, _ = logged(3)
    _, info = log.reset(seed=5)
    assert log.rounds == []
    assert log.accuracy == info["accuracy"]


def test_what_was_played_is_there_after_a_round_only():
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate")
    env.reset(seed=0)
    with pytest.raises(gym.error.ResetNeeded, match="no round has been played yet"):
        _ = env.unwrapped.played
    env.step(env.action_space.sample())
    assert env.unwrapped.played.selected.shape == (2,)
    env.reset(seed=0)
    with pytest.raises(gym.error.ResetNeeded):
        _ = env.unwrapped.played


def test_files_hold_the_tables_and_are_the_same_at_every_time(tmp_path):
    log, _ = logged()
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_frames(folder / "x", log, {"agent": "random"})
    for name, frame in (("rounds", round_frame(log)), ("clients", client_frame(log))):
        one, other = ((tmp_path / folder / f"x-{name}.csv.gz").read_bytes() for folder in "ab")
        assert one == other
        read = pd.read_csv(tmp_path / "a" / f"x-{name}.csv.gz", keep_default_na=False)
        assert set(read.pop("agent")) == {"random"}
        pd.testing.assert_frame_equal(read, frame, check_dtype=False, check_exact=True)


def greedy(env):
    return schedulers.make("greedy", env)


def test_a_comparison_writes_the_rounds_of_its_episodes(tmp_path):
    settings = {"learner": "surrogate", "episode": {"max_rounds": 3}}
    played = list(compare({"greedy": greedy}, ["toy"], [4, 5], settings, log=tmp_path))
    plain = run_episodes("greedy", greedy, [4, 5], {**settings, "scenario": "toy"})
    for episode, without in zip(sorted(played, key=lambda e: e.seed), plain, strict=True):
        rounds = pd.read_csv(tmp_path / "toy" / "00-greedy" / f"{episode.seed}-rounds.csv.gz")
        assert rounds["elapsed_s"].tolist() == episode.elapsed_s.tolist() == without.elapsed_s.tolist()
        assert rounds["accuracy"].tolist() == episode.accuracy.tolist()
        clients = pd.read_csv(tmp_path / "toy" / "00-greedy" / f"{episode.seed}-clients.csv.gz")
        assert len(clients) == 2 * len(rounds)
