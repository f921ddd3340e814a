"""The command line: what a run leaves behind, how it goes on, and what it says when something is wrong."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pandas as pd
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents
import train_agent
from agents import training
from agents.run_folder import RunFolder
from agents.training import train
from splitgym.evaluation import run_episodes
from splitgym.scenario import build, load

ROOT = Path(train_agent.__file__).parent
TINY = ["--scenario", "toy", "--steps", "64", "--environments", "1", "--episodes", "1", "--workers", "1"]
ENVIRONMENT = {"framework": "epsl", "action": "schedule", "reward": "gain-latency", "device": None}


def timesteps(path):
    return PPO.load(path, device="cpu").num_timesteps


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole tiny run: one rollout of 128 rounds, one episode each."""
    folder = tmp_path_factory.mktemp("train") / "run"
    assert train_agent.main([*TINY, "--compare", "greedy", "ppo", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch):
    """Comparisons without the seconds that a new process takes to begin."""

    def compare(makers, scenarios, seeds, settings, until, workers=1):
        for name, make in makers.items():
            yield from run_episodes(name, make, seeds, {**settings, "scenario": scenarios[0]}, until)

    monkeypatch.setattr(train_agent, "compare", compare)


def test_run_leaves_everything_in_its_folder(run):
    assert {
        "run.json",
        "scenario.toml",
        "last.zip",
        "table.md",
        "table.csv",
        "episodes.csv",
        "rounds.csv",
        "accuracy.png",
        "tensorboard",
    } <= {path.name for path in run.iterdir()}
    assert not list(run.glob("unfinished*"))


def test_run_folder_holds_what_is_needed_to_repeat_the_run(run):
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["steps"] == 64
    assert record["settings"]["compare"] == ["greedy", "ppo"]
    assert {"python", "splitgym", "gymnasium", "numpy", "stable-baselines3", "torch"} <= set(record["versions"])
    assert record["command"]
    assert load(run / "scenario.toml") == load("toy")


def test_a_rollout_is_finished_before_training_stops(run):
    assert timesteps(run / "last.zip") == 128


def test_tables_of_a_run_agree_with_each_other(run):
    rounds, episodes, table = (pd.read_csv(run / f"{name}.csv") for name in ("rounds", "episodes", "table"))
    assert sorted(episodes["agent"]) == sorted(table["agent"]) == ["greedy", "ppo"]
    for _, row in episodes.iterrows():
        own = rounds[rounds["agent"] == row["agent"]]
        assert len(own) == row["rounds"] <= load("toy").episode.max_rounds
        assert own["accuracy"].iloc[-1] == row["final_accuracy"]
        assert own["round_latency_s"].mean() == pytest.approx(row["round_latency_s"])
        assert row["reached"] == (own["accuracy"] >= 0.8).any()
    lines = (run / "table.md").read_text().splitlines()
    assert len(lines) == 4
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(table["agent"])


def test_plot_of_a_run_is_an_image(run):
    assert (run / "accuracy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("in_this_process")
def test_agents_with_options_are_compared_and_stand_in_the_table_as_they_were_named(run, tmp_path):
    """The policy of another run plays as it did there."""
    names = [
        "ppo",
        f"ppo:checkpoint={run / 'last.zip'}",
        "deadline:deadline_s=1,allocation=equal-shares",
        "fastest-k:k=1",
    ]
    assert train_agent.main([*TINY, "--compare", *names, "--out", str(tmp_path / "run")]) == 0
    table = pd.read_csv(tmp_path / "run" / "table.csv").set_index("agent")
    assert sorted(table.index) == sorted(names)
    other = pd.read_csv(run / "table.csv").set_index("agent")
    assert table["round_latency_s"][names[1]] == other["round_latency_s"]["ppo"]
    # One client's round is the shortest there is.
    assert table["round_latency_s"].idxmin() == "fastest-k:k=1"


def test_tensorboard_shows_reward_terms_and_rounds(run):
    (events,) = (run / "tensorboard").rglob("events.out.tfevents*")
    log = EventAccumulator(str(events.parent))
    log.Reload()
    tags = set(log.Tags()["scalars"])
    terms = {f"reward/{name}" for name in ("accuracy_gain", "latency", "energy", "target_reached")}
    assert terms | {"round/latency_s", "round/energy_j", "round/participants"} <= tags
    latency = {tag: log.Scalars(tag)[0].value for tag in ("reward/latency", "round/latency_s")}
    # The term is minus the share of the toy's budget of 20 s.
    assert latency["reward/latency"] == pytest.approx(-latency["round/latency_s"] / 20, rel=1e-5)
    assert log.Scalars("round/latency_s")[0].step == 128


def test_training_goes_on_from_the_checkpoint(run, tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "last.zip").write_bytes((run / "last.zip").read_bytes())
    before = PPO.load(folder.last, device="cpu").policy.state_dict()["action_net.bias"].clone()
    environment = {**ENVIRONMENT, "scenario": str(run / "scenario.toml")}
    assert train(folder, environment, environments=1, steps=200, seed=0) == 256
    after = PPO.load(folder.last, device="cpu")
    assert after.num_timesteps == 256
    assert not (after.policy.state_dict()["action_net.bias"] == before).all()


def test_training_never_sees_the_held_out_seeds():
    resumed = {training._resumed_seed(seed, steps) for seed in (0, 1, 99_999) for steps in range(0, 10**7, 99_999)}
    assert len(resumed) > 280
    assert 0 <= min(resumed) <= max(resumed) < training.RESUMED_SEEDS < train_agent.HELD_OUT
    assert train_agent.SEEDS < training.RESUMED_SEEDS


def test_finished_training_is_not_repeated(run, tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "last.zip").write_bytes((run / "last.zip").read_bytes())
    environment = {**ENVIRONMENT, "scenario": str(run / "scenario.toml")}
    assert train(folder, environment, environments=1, steps=128, seed=0) == 128


def test_same_seed_trains_the_same_policy(run, tmp_path):
    environment = {**ENVIRONMENT, "scenario": str(run / "scenario.toml")}
    train(RunFolder(tmp_path), environment, environments=1, steps=64, seed=0)
    ours, theirs = (
        PPO.load(path, device="cpu").policy.state_dict() for path in (tmp_path / "last.zip", run / "last.zip")
    )
    assert all((ours[name] == theirs[name]).all() for name in ours)


@pytest.mark.usefixtures("in_this_process")
def test_default_folders_are_numbered_and_a_preset_may_be_a_file(here, capsys):
    scenario = here / "small.toml"
    scenario.write_text(build("toy", {"name": "small", "episode": {"max_rounds": 2}}).to_toml())
    arguments = [*TINY, "--scenario", str(scenario), "--compare", "fixed"]
    assert [train_agent.main(arguments), train_agent.main(arguments)] == [0, 0]
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["ppo-small-1", "ppo-small-2"]
    assert "runs/ppo-small-2" in capsys.readouterr().out
    # The run does not need the file any more: it has its own copy of the scenario.
    scenario.unlink()
    assert train_agent.main(["--resume", "runs/ppo-small-2"]) == 0


# What goes wrong ---------------------------------------------------------------------------------------------------


def fails(capsys, *arguments):
    """The one line on stderr of a command that ends with status 2."""
    try:
        status = train_agent.main(list(arguments))
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in captured.err + captured.out
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "nope"], ("'nope'", "iot")),
        (["--scenario", "iott"], ("'iott'", "did you mean 'iot'?")),
        (["--framework", "eps"], ("'eps'", "did you mean 'epsl'?")),
        (["--reward", "gain-latenc"], ("'gain-latenc'", "did you mean 'gain-latency'?")),
        (["--action", "schedul"], ("schedul", "schedule")),
        (["--device", "cudaa"], ("device", "cudaa")),
        (["--compare", "gredy"], ("--compare", "'gredy'", "did you mean 'greedy'?")),
        (["--compare", "ppo", "fastest-k:n=3"], ("--compare", "'n'", "allowed: allocation, cut_layer, k")),
        (["--compare", "ppo:k=3"], ("--compare", "'k'", "allowed: checkpoint, deterministic")),
        (["--compare", "fastest-k:k"], ("--compare", "'k'", "option=value")),
        (["--compare", "fastest-k:k=0"], ("--compare fastest-k:k=0", "1 or more")),
        (["--compare", "fixed:cut_layer=9"], ("--compare fixed:cut_layer=9", "1..3")),
        (["--compare", "ppo:checkpoint=no.zip"], ("--compare ppo:checkpoint=no.zip", "'no.zip' does not exist")),
        (["--compare", "ppo:deterministic=1"], ("--compare ppo:deterministic=1", "true or false")),
        (["--compare"], ("compare",)),
        (["--steps", "0"], ("--steps", "0", "1 or more")),
        (["--environments", "0"], ("--environments", "0", "1 or more")),
        (["--episodes", "-1"], ("--episodes", "1 or more")),
        (["--workers", "0"], ("--workers", "1 or more")),
        (["--seed", "-1"], ("--seed", "-1", "0..")),
        (["--seed", "100000"], ("--seed", "0..99999")),
        (["--resume", "nowhere"], ("nowhere", "no run")),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("in_this_process")
def test_wrong_option_is_one_error_line_and_leaves_no_folder(here, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr(train_agent, "train", lambda *_: pytest.fail("training began"))
    line = fails(capsys, *arguments)
    assert all(word in line for word in words), line
    assert not (here / "runs").exists()


@pytest.mark.parametrize("arguments", [["--steps", "many"], ["--bogus", "1"], ["--environments", "1.5"]])
def test_what_cannot_be_parsed_is_refused_by_name(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        train_agent.main(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert arguments[0] in captured.err
    assert "Traceback" not in captured.err
    assert not captured.out


@pytest.mark.usefixtures("here")
def test_missing_data_is_one_error_line_before_anything_begins(capsys, monkeypatch):
    monkeypatch.delenv("SPLITGYM_DATA", raising=False)
    assert "SPLITGYM_DATA" in fails(capsys, "--scenario", "epsl")
    assert not Path("runs").exists()


def test_folder_of_a_run_is_not_overwritten(run, capsys):
    before = (run / "run.json").read_text()
    line = fails(capsys, "--scenario", "toy", "--out", str(run))
    assert str(run) in line
    assert "--resume" in line
    assert (run / "run.json").read_text() == before


@pytest.mark.parametrize("option", [["--steps", "3"], ["--scenario", "toy"], ["--seed", "1"], ["--compare", "ppo"]])
def test_resume_refuses_other_settings(run, capsys, option):
    line = fails(capsys, "--resume", str(run), *option)
    assert option[0] in line
    assert "--resume" in line


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "run.json").unlink(), "run.json"),
        (lambda folder: (folder / "run.json").write_text("{"), "run.json"),
        (lambda folder: (folder / "run.json").write_text("[1]"), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"steps": 3}}'), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"compare": ["ppo"], "step": 1}}'), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": 5}'), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"compare": [], "steps": 0}}'), "--steps 0"),
        (lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe"), "run.json"),
        (lambda folder: (folder / "last.zip").write_text("no checkpoint"), "last.zip"),
        (lambda folder: (folder / "last.zip").write_bytes((folder / "last.zip").read_bytes()[:3000]), "last.zip"),
        (lambda folder: (folder / "scenario.toml").unlink(), "scenario.toml"),
        (lambda folder: (folder / "scenario.toml").write_text("[clients]\ncount = 3\n"), "last.zip"),
    ],
    ids=[
        "no run.json",
        "half a run.json",
        "list",
        "settings missing",
        "unknown setting",
        "number",
        "setting not allowed",
        "binary run.json",
        "text as checkpoint",
        "half a checkpoint",
        "no scenario",
        "other scenario",
    ],
)
def test_broken_run_folder_is_one_error_line(run, tmp_path, capsys, damage, word):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "last.zip", "scenario.toml"):
        (folder / name).write_bytes((run / name).read_bytes())
    damage(folder)
    assert word in fails(capsys, "--resume", str(folder))


def raises(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize("error", [EOFError(), BrokenPipeError(), ConnectionResetError(), BrokenProcessPool("ended")])
def test_death_of_a_worker_is_one_error_line(tmp_path, capsys, monkeypatch, error):
    monkeypatch.setattr(train_agent, "train", raises(error))
    assert "worker process died" in fails(capsys, *TINY, "--out", str(tmp_path / "run"))


def test_worker_that_is_killed_ends_training(run, tmp_path, monkeypatch):
    def killing(makers, **options):
        vec_env = SubprocVecEnv(makers, **options)
        vec_env.processes[1].kill()
        return vec_env

    monkeypatch.setattr(training, "SubprocVecEnv", killing)
    environment = {**ENVIRONMENT, "scenario": str(run / "scenario.toml")}
    with pytest.raises((EOFError, ConnectionError)):
        train(RunFolder(tmp_path), environment, environments=2, steps=1, seed=0)


def test_out_that_is_a_file_is_one_error_line(tmp_path, capsys):
    path = tmp_path / "file"
    path.touch()
    assert fails(capsys, *TINY, "--out", str(path)) == f"error: --out {path} is not a folder"


@pytest.mark.usefixtures("here")
def test_name_of_a_scenario_makes_no_nested_folders():
    assert RunFolder.create(None, "ppo-a/b c").path == Path("runs/ppo-a-b-c-1")


def test_help_shows_defaults_and_units(capsys):
    with pytest.raises(SystemExit) as end:
        train_agent.main(["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(name in text for name in agents.names())
    for words in ("default: iot", "default: 10000", "training rounds", "processes", "--resume DIR", "--out DIR"):
        assert words.lower() in text.lower(), words
    assert "Train a PPO scheduler" in text


# Ctrl-C ------------------------------------------------------------------------------------------------------------


def interrupted(folder, until, *arguments):
    """Sends SIGINT to the whole process group, as a terminal does, once `until()` holds."""
    command = [sys.executable, str(ROOT / "train_agent.py"), *arguments, "--out", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            give_up = time.monotonic() + 120
            while not until() and process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 130, errors
    assert "Stopped." in out
    assert "Traceback" not in errors + out
    return out


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_in_training_keeps_the_last_rollout_and_resume_goes_on(tmp_path, monkeypatch):
    folder, saved = tmp_path / "a run", set()

    def a_rollout_is_saved():
        """The first checkpoint is that of the untrained policy."""
        if (folder / "last.zip").exists():
            saved.add((folder / "last.zip").stat().st_mtime_ns)
        return len(saved) >= 2

    out = interrupted(folder, a_rollout_is_saved, "--scenario", "toy", "--steps", "1000000", "--environments", "2")
    assert shlex.join([str(ROOT / "train_agent.py"), "--resume", str(folder)]) in out
    done = timesteps(folder / "last.zip")
    assert done >= 256
    assert done % 256 == 0
    record = json.loads((folder / "run.json").read_text())
    record["settings"] |= {"steps": done + 1, "compare": ["fixed"], "episodes": 1}
    (folder / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(training, "SubprocVecEnv", lambda makers, **_: DummyVecEnv(makers))
    assert train_agent.main(["--resume", str(folder)]) == 0
    assert timesteps(folder / "last.zip") == done + 256
    assert (folder / "table.md").exists()


def test_ctrl_c_before_there_is_a_folder_says_so(capsys, monkeypatch):
    monkeypatch.setattr(train_agent, "build", raises(KeyboardInterrupt))
    assert train_agent.main([]) == 130
    assert capsys.readouterr().out.strip() == "Stopped."


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_while_workers_begin_is_heard_and_the_run_can_be_resumed(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(folder, (folder / "run.json").exists, "--scenario", "toy", "--steps", "1", "--episodes", "1")
    assert not (folder / "last.zip").exists()
    monkeypatch.setattr(training, "SubprocVecEnv", lambda makers, **_: DummyVecEnv(makers))
    assert train_agent.main(["--resume", str(folder)]) == 0
    assert timesteps(folder / "last.zip") == 256


@pytest.mark.parametrize(
    ("python", "shown"), [(".venv/bin/python", ".venv/bin/python"), ("/usr/bin/python3", "/usr/bin/python3")]
)
def test_how_to_go_on_can_be_typed(here, monkeypatch, python, shown):
    monkeypatch.setattr(sys, "executable", str(here / python))
    monkeypatch.setattr(sys, "argv", ["train_agent.py", "--scenario", "toy"])
    text = train_agent._how_to_go_on(RunFolder(Path("my runs/1")))
    assert text.endswith(f"\n  {shown} train_agent.py --resume 'my runs/1'")


def test_ctrl_c_in_the_comparison_ends_it_at_once_and_quietly(tmp_path):
    """Its episodes are endless, so the command ends in time only if it does not wait for them."""
    folder, scenario, began = tmp_path / "run", tmp_path / "endless.toml", []
    endless = {"max_rounds": 10**9, "time_budget_s": 1e12, "target_accuracy": 1.0}
    scenario.write_text(build("toy", {"episode": endless}).to_toml())

    def comparing():
        """Training of one rollout is done; give the workers of the comparison the time to begin."""
        if (folder / "last.zip").exists() and timesteps(folder / "last.zip") >= 128:
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] > 4

    options = ["--scenario", str(scenario), "--steps", "1", "--environments", "1", "--episodes", "4", "--workers", "1"]
    interrupted(folder, comparing, *options, "--compare", "random", "fixed")
