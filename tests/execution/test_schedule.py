"""What is asked of each process takes as long as the simulator's kernels say."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))
from measured import written

from splitgym.execution.schedule import MIGRATION, Schedule
from splitgym.frameworks import Resource


@pytest.mark.parametrize("framework", ["epsl", "psl-drop", "sfl-v1", "sl", "fl", "hierarchical"])
@pytest.mark.parametrize("scenario", ["iot", "bandwidth-limited"])
def test_amount_over_speed_is_how_long_a_phase_lasts(framework, scenario):
    env = gym.make(
        "splitgym:SplitLearning-v0",
        scenario=scenario,
        framework=framework,
        action="discrete",
        episode={"round_timeout_s": 1e4},
        task={"train_samples": 400, "evaluation_samples": 20},
        training={"batch_size": 2},
    ).unwrapped
    env.reset(seed=4)
    env.action_space.seed(4)
    compared = 0
    for _ in range(3):
        decision = env.decode(env.action_space.sample())
        schedule = Schedule.of(env.truth, decision)
        cost = schedule.cost
        for slot in schedule.slots:
            members = [i for i in slot.members if cost.participants[i]]
            for row in schedule.rows:
                for i in members if row.stage != MIGRATION else ():
                    lasts = cost.stop_s[row.number, i] - cost.start_s[row.number, i]
                    assert seconds(schedule, slot, row, members, i) == pytest.approx(lasts, rel=1e-6, abs=1e-9)
                    compared += 1
        env.play(decision)
    assert compared > 20


def seconds(schedule, slot, row, members, client):
    """Of a phase, from what is asked."""
    if row.resource == Resource.CLIENT:
        return schedule.seconds(row, client)
    if row.resource == Resource.SERVER or row.resource > Resource.BROADCAST:
        return schedule.common_seconds(row, len(members))
    bits = schedule.amount(row, len(members))
    if row.resource == Resource.BROADCAST:
        return bits / schedule.broadcast_rate(members)
    return bits / (slot.uplink if row.resource == Resource.UPLINK else slot.downlink)[client]


def test_a_measured_client_computes_for_as_long_as_its_file_says(tmp_path):
    fast, slow = ([0.01, 0.02, 0.03], [0.02, 0.05, 0.07]), ([0.06, 0.01, 0.01], [0.3, 0.01, 0.01])
    files = [written(tmp_path / f"{number}.toml", *each) for number, each in enumerate((fast, slow))]
    env = gym.make(
        "splitgym:SplitLearning-v0", scenario="toy", framework="psl", action="schedule", clients={"profile": files}
    ).unwrapped
    env.reset(seed=0)
    schedule = Schedule.of(env.truth, env.decode(np.array([1, 1, 1, 0])))
    rows = {row.stage: row for row in schedule.rows}
    for client, (forward_s, backward_s) in enumerate((fast, slow)):
        cut = schedule.cut_layer
        assert schedule.seconds(rows["client_fp"], client) == pytest.approx(sum(forward_s[:cut]))
        assert schedule.seconds(rows["client_bp"], client) == pytest.approx(sum(backward_s[:cut]))


def test_who_was_lost_is_as_if_unavailable():
    env = gym.make("splitgym:SplitLearning-v0", scenario="toy", framework="psl", action="schedule").unwrapped
    env.reset(seed=0)
    decision = env.decode(np.array([0, 1, 1, 0]))
    schedule = Schedule.of(env.truth, decision)
    assert schedule.participants == schedule.began == (0, 1)
    alone = Schedule.of(env.truth, schedule.without(np.array([True, False])))
    assert alone.participants == (1,)
