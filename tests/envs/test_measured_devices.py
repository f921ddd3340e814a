"""Clients that are measured devices: rounds take the seconds that the files say, and rules know it."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))
from measured import as_flops_say, written

from splitgym import schedulers
from splitgym.allocation.workload import own_workload
from splitgym.envs import SplitLearningEnv
from splitgym.evaluation import EpisodeLog, client_frame
from splitgym.frameworks import names
from splitgym.scenario import ScenarioError, build
from splitgym.types import Decision, Plan

FAST, SLOW = ([0.01, 0.02, 0.03], [0.02, 0.05, 0.07]), ([0.06, 0.01, 0.01], [0.3, 0.01, 0.01])
"""Seconds of each unit for 8 rows, 0.2 and 0.4 in all: the slow device is slow in the first unit."""
HALF_EACH = Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.ones(2, bool), 0.0)


@pytest.fixture
def files(tmp_path):
    return [written(tmp_path / "fast.toml", *FAST), written(tmp_path / "slow.toml", *SLOW)]


def played(cut_layer, **settings):
    """The seconds of each client in a round of toy, and its state."""
    log = EpisodeLog(SplitLearningEnv(**{"scenario": "toy", "framework": "psl", **settings}))
    log.reset(seed=0)
    truth = log.world.truth
    log.play(Decision(cut_layer, HALF_EACH.assignment, HALF_EACH.power_w_per_hz, HALF_EACH.selected, 0.0))
    return client_frame(log), truth


@pytest.mark.parametrize("cut_layer", [1, 2])
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_a_round_takes_the_seconds_of_the_files(files, cut_layer, sharing):
    rows, _ = played(cut_layer, clients={"profile": files}, radio={"sharing": sharing})
    for client, (forward_s, backward_s) in enumerate((FAST, SLOW)):
        assert rows["seconds.client_fp"][client] == pytest.approx(sum(forward_s[:cut_layer]))
        assert rows["seconds.client_bp"][client] == pytest.approx(sum(backward_s[:cut_layer]))


def test_seconds_are_in_proportion_to_rows_and_to_spare_speed(files):
    rows, truth = played(1, clients={"profile": files, "load_max": 0.5}, training={"batch_size": 24})
    left = truth.client_hz / [1e6, 0.5e6]
    assert (left < 1).all()
    assert rows["seconds.client_fp"].tolist() == pytest.approx(3 * np.array([0.01, 0.06]) / left)


def test_the_step_of_the_optimiser_is_part_of_the_backward_pass(tmp_path):
    file = written(tmp_path / "one.toml", *FAST, update_s=0.004)
    rows, _ = played(2, clients={"profile": file})
    assert rows["seconds.client_bp"].tolist() == pytest.approx([0.07 + 2 * 0.004] * 2)


def test_the_fastest_device_has_the_highest_speed_and_the_others_their_part_of_it(files):
    _, truth = played(1, clients={"profile": [*files[::-1]], "compute_max_hz": 3e6})
    assert truth.client_hz.tolist() == pytest.approx([1.5e6, 3e6])


@pytest.mark.parametrize("cut_layer", [1, 2])
def test_the_server_may_be_a_measured_device(files, cut_layer):
    """It works for the rows of both clients; what these compute stays as FLOPs say."""
    rows, truth = played(cut_layer, server={"profile": files[1]})
    plain, _ = played(cut_layer)
    forward_s, backward_s = SLOW
    assert rows["seconds.server_fp"].tolist() == pytest.approx([2 * sum(forward_s[cut_layer:])] * 2)
    assert rows["seconds.server_bp"].tolist() == pytest.approx([2 * sum(backward_s[cut_layer:])] * 2)
    for stage in ("client_fp", "uplink", "unicast", "client_bp"):
        assert rows[f"seconds.{stage}"].tolist() == pytest.approx(plain[f"seconds.{stage}"].tolist())
    assert truth.client_hz.tolist() == [1e6, 1e6]


def test_a_server_that_is_not_of_the_network_is_refused_by_its_own_field(files):
    with pytest.raises(ScenarioError, match=r"server\.profile: device 'fast' was measured on 'mlp' with 3 units"):
        gym.make("SplitLearning-v0", scenario="iot", learner="surrogate", server={"profile": files[0]})


def test_clients_are_the_devices_in_order_and_from_the_first_again(files):
    env = SplitLearningEnv(scenario="toy", learner="surrogate", clients={"count": 5, "profile": files})
    env.reset(seed=0)
    assert env.truth.client_hz.tolist() == pytest.approx([1e6, 0.5e6, 1e6, 0.5e6, 1e6])
    assert env.system.program.device == (0, 1, 0, 1, 0)


def test_allocation_works_with_the_same_seconds(files):
    env = SplitLearningEnv(scenario="toy", learner="surrogate", framework="psl", clients={"profile": files})
    env.reset(seed=0)
    workload = own_workload(env.state, Plan(2))
    own = [sum(forward[:2]) + sum(backward[:2]) for forward, backward in (FAST, SLOW)]
    assert workload.compute_s.sum(0).tolist() == pytest.approx(own)


@pytest.mark.parametrize("name", [name for name in names() if name not in ("centralised", "u-shaped", "multi-hop")])
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_a_device_that_needs_what_flops_say_makes_the_same_rounds(tmp_path, name, sharing):
    latencies = []
    for clients in ({}, {"profile": as_flops_say(tmp_path / "same.toml")}):
        env = SplitLearningEnv(
            scenario="toy",
            framework=name,
            learner="train",
            action="schedule",
            clients=clients,
            radio={"sharing": sharing},
            episode={"round_timeout_s": 60.0, "time_budget_s": 1e6, "stop_at_target": False},
        )
        env.reset(seed=3)
        env.action_space.seed(3)
        latencies.append([env.step(env.action_space.sample())[-1]["round_latency_s"] for _ in range(4)])
    assert latencies[1] == pytest.approx(latencies[0], rel=1e-9)
    assert min(latencies[0]) > 0


def test_a_schedule_that_knows_the_seconds_is_no_worse_than_one_that_counts_flops(files):
    """The slow device is slow in the unit that all cuts leave to it, so the deep cut costs it little."""
    env = SplitLearningEnv(scenario="toy", learner="surrogate", framework="psl", clients={"profile": files})
    env.reset(seed=0)
    rule = schedulers.make("greedy", env)
    *_, best = env.play(rule.decide(env.state))
    others = []
    for cut_layer in (1, 2):
        env.reset(seed=0)
        *_, info = env.play(schedulers.make("greedy", env, cut_layer=cut_layer).decide(env.state))
        others.append(info["round_latency_s"])
    assert best["round_latency_s"] == pytest.approx(min(others))


def test_units_that_were_measured_together_share_their_seconds_by_flops(tmp_path):
    """FLOPs of `mlp`: 2 and 2 times 64 x 32 in the first unit, which reads the image, 2 and 4 times 32 x 16 then."""
    first, second = 4 * 64 * 32, 6 * 32 * 16
    file = written(tmp_path / "grouped.toml", [0.0, 0.2, 0.1], [0.0, 0.4, 0.1])
    rows, _ = played(1, clients={"profile": file})
    assert rows["seconds.client_fp"].tolist() == pytest.approx([0.2 * first / (first + second)] * 2)
    assert rows["seconds.client_bp"].tolist() == pytest.approx([0.4 * first / (first + second)] * 2)
    rows, _ = played(2, clients={"profile": file})
    assert rows["seconds.client_fp"].tolist() == pytest.approx([0.2, 0.2])
    file = written(tmp_path / "last.toml", [0.2, 0.3, 0.0], [0.1, 0.6, 0.0])
    rows, _ = played(2, clients={"profile": file})
    third = 6 * 16 * 10
    assert rows["seconds.client_fp"].tolist() == pytest.approx([0.2 + 0.3 * second / (second + third)] * 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": "cnn", "units": []}, "units = []"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"speed": 3}, "speed"),
        ({"units": [{"name": "x", "forward_s": -1.0}] * 2}, "forward_s = -1.0"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, changed, said):
    file = written(tmp_path / "broken.toml", *FAST, **changed)
    with pytest.raises(ScenarioError, match="broken.toml|" + said.split("=")[0]) as error:
        gym.make("SplitLearning-v0", scenario="toy", learner="surrogate", clients={"profile": file})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_device_that_was_measured_on_another_network_is_refused(tmp_path):
    file = written(tmp_path / "mlp.toml", *FAST)
    with pytest.raises(ScenarioError, match=r"'mlp' with 3 units, allowed: the 4 of task.model"):
        gym.make("SplitLearning-v0", scenario="iot", learner="surrogate", clients={"profile": file})
    with pytest.raises(ScenarioError, match=r"unit 1 has weights of 8320 bytes, allowed: 100480, those of task.model"):
        gym.make("SplitLearning-v0", scenario="toy", task={"dataset": "mnist"}, clients={"profile": file})


def test_few_bits_are_refused_on_measured_devices(files):
    with pytest.raises(ScenarioError, match=r"plan.precisions = \[32, 8\] with clients.profile"):
        build("toy", {"clients": {"profile": files}, "plan": {"precisions": [32, 8]}})


def test_a_device_that_needed_no_time_is_refused(tmp_path):
    file = written(tmp_path / "none.toml", [0.0] * 3, [0.0] * 3)
    with pytest.raises(ScenarioError, match="a device needed 0 s"):
        gym.make("SplitLearning-v0", scenario="toy", learner="surrogate", clients={"profile": file})


PUBLISHED = """model,dataset,device,layer,forward_ms,backward_ms,update_ms,activation_kb,weight_kb
mlp,digits,board,1,2.0,4.0,1.0,0,2.0625
mlp,digits,board,0,1.0,3.0,0.5,0,8.125
mlp,digits,board,2,0.5,0.25,0.25,0,0.6640625
"""


def test_published_devices_are_found_by_name(tmp_path, monkeypatch):
    (tmp_path / "device_layer_profiles.csv").write_text(PUBLISHED)
    monkeypatch.setenv("SPLITGYM_DATA", str(tmp_path))
    rows, _ = played(2, clients={"profile": "mlp-digits-board"}, training={"batch_size": 128})
    assert rows["seconds.client_fp"].tolist() == pytest.approx([0.003, 0.003])
    assert rows["seconds.client_bp"].tolist() == pytest.approx([0.0085, 0.0085])
    with pytest.raises(ScenarioError, match="did you mean 'mlp-digits-board'"):
        played(2, clients={"profile": "mlp-digits-bord"})


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_boards_says_what_is_missing_without_the_file(monkeypatch, folder):
    monkeypatch.delenv("SPLITGYM_DATA", raising=False)
    if folder:
        monkeypatch.setenv("SPLITGYM_DATA", folder)
    with pytest.raises(
        ScenarioError, match=r"'vgg19-cifar-d1' needs device_layer_profiles.csv in the folder that SPLIT"
    ):
        gym.make("SplitLearning-v0", scenario="boards")
