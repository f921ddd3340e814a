"""The command line: what a run leaves behind, how it goes on, and what it says when something is wrong."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import gymnasium as gym
import optuna
import pandas as pd
import pytest
from command_lines import error_line
from in_process import compare_in_this_process
from safetensors.torch import load_file, save_file
from stable_baselines3.common.vec_env import DummyVecEnv

import agents
from agents import algorithms, train
from agents.policy_file import Card, digest
from agents.training import jobs
from agents.training import run as training
from agents.training.hyperparameters import Hyperparameters
from agents.training.learner_file import steps_done
from agents.training.messages import HARDLY_TRAINED, how_to_go_on
from agents.training.run_folder import PolicyFolder, RunFolder
from splitgym.evaluation import runner
from splitgym.scenario import build, load

ROOT = Path(train.__file__).parents[1]
SMALL = ["--scenario", "toy", "--environments", "2", "--seeds", "1", "--episodes", "1", "--workers", "1"]
TINY = [*SMALL, "--steps", "64"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole tiny run: one rollout of 128 rounds on the surrogate, one episode each."""
    folder = tmp_path_factory.mktemp("train") / "run"
    assert train.main([*TINY, "--compare", "greedy", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch):
    """Trainings and comparisons without the seconds that a new process takes to begin."""

    def train_all(asked, workers):
        for job in asked:
            jobs.train(job)
        yield [PolicyFolder(job.folder).progress().steps for job in asked]

    monkeypatch.setattr(training, "train_all", train_all)
    compare_in_this_process(monkeypatch)


def test_run_leaves_everything_in_its_folder(run):
    assert {path.name for path in (run / "seed-0").iterdir()} == {
        *("initial.safetensors", "last.safetensors", "policy.safetensors", "policy.toml", "progress.json"),
        "tensorboard",
    }
    assert {
        "run.json",
        "scenario.toml",
        "settings.yml",
        "policy.safetensors",
        "policy.toml",
        "table.md",
        "table.csv",
        "episodes.csv",
        "episodes.jsonl",
        "rounds",
        "rounds.csv",
        "accuracy.png",
        "accuracy.pdf",
        "seed-0",
    } == {path.name for path in run.iterdir()}


def test_run_folder_holds_what_is_needed_to_repeat_the_run(run):
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["steps"] == 64
    assert record["settings"]["compare"] == ["greedy"]
    assert {"python", "splitgym", "gymnasium", "numpy", "stable-baselines3", "torch"} <= set(record["versions"])
    assert record["torch_threads"] == 1
    assert record["command"].startswith("splitgym train --scenario toy")
    assert load(run / "scenario.toml") == load("toy")


def test_a_rollout_is_finished_before_training_stops(run):
    assert steps_done(run / "seed-0" / "last.safetensors") == 128


def test_tables_of_a_run_agree_with_each_other(run):
    rounds, episodes, table = (pd.read_csv(run / f"{name}.csv") for name in ("rounds", "episodes", "table"))
    assert sorted(episodes["agent"]) == sorted(table["agent"]) == ["greedy", "ppo-equivariant"]
    for _, row in episodes.iterrows():
        own = rounds[rounds["agent"] == row["agent"]]
        assert len(own) == row["rounds"] <= load("toy").episode.max_rounds
        # The last round may end after the budget of 20 s.
        assert own[own["elapsed_s"] <= 20]["accuracy"].iloc[-1] == row["final_accuracy"]
        assert own["round_latency_s"].mean() == pytest.approx(row["round_latency_s"])
        assert {"cut_layer", "participants", "aggregation_ratio", "energy_j", "traffic_bits", "stages.uplink"} <= set(
            own
        )
        assert row["reached"] == (own["accuracy"] >= 0.8).any()
    lines = (run / "table.md").read_text().splitlines()
    assert len(lines) == 4
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(table["agent"])


def test_plot_of_a_run_is_an_image(run):
    assert (run / "accuracy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("in_this_process")
def test_agents_with_options_are_compared_and_stand_in_the_table_as_they_were_named(run, tmp_path):
    """The policy of another run plays as it did there; it is that of the same seed."""
    names = [f"ppo-equivariant:policy={run}", "deadline:deadline_s=1,allocation=equal-shares", "fastest-k:k=1"]
    assert train.main([*TINY, "--compare", *names, "--out", str(tmp_path / "run")]) == 0
    table = pd.read_csv(tmp_path / "run" / "table.csv").set_index("agent")
    assert sorted(table.index) == sorted([*names, "ppo-equivariant"])
    other = pd.read_csv(run / "table.csv").set_index("agent")
    assert table["round_latency_s"][names[0]] == other["round_latency_s"]["ppo-equivariant"]
    assert table["round_latency_s"]["ppo-equivariant"] == other["round_latency_s"]["ppo-equivariant"]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("learning_rate", "words"),
    [
        ("lin_5e-3", "kept: the policy of seed 0 after 128 rounds; largest change of a weight: 0.0"),
        (1.0e-6, "the policy that was kept is nearly the initial one: by the training no weight changed by more than"),
    ],
)
def test_steps_are_whole_rollouts_and_what_was_learnt_is_said(tmp_path, capsys, learning_rate, words):
    settings = Hyperparameters.read(algorithms.get("ppo-equivariant"), "surrogate").changed(learning_rate=learning_rate)
    settings.write(tmp_path / "settings.yml", "surrogate")
    options = ["--settings", str(tmp_path / "settings.yml"), "--compare", "fixed", "--out", str(tmp_path / "run")]
    assert train.main([*TINY, *options]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "128 rounds on the surrogate rounded up from 64 to whole rollouts, 1 x 128" in out
    assert words in out
    card = Card.read(tmp_path / "run" / "policy.toml")
    assert card.training_steps == 128
    assert (card.largest_change < HARDLY_TRAINED) == (learning_rate == 1e-6)


@pytest.mark.usefixtures("in_this_process")
def test_the_best_of_several_seeds_is_compared(tmp_path, monkeypatch):
    """Their costs are made up."""
    costs = {3: 9.0, 4: 3.0, 5: 5.0}

    def train_all(asked, workers):
        for job in asked:
            jobs.train(job)
        monkeypatch.setattr(PolicyFolder, "cost", lambda folder: costs[int(folder.path.name.removeprefix("seed-"))])
        yield [128, 128, 128]

    monkeypatch.setattr(training, "train_all", train_all)
    folder = tmp_path / "run"
    arguments = [*TINY, "--seed", "3", "--seeds", "3", "--compare", "fixed", "--out", str(folder)]
    assert train.main(arguments) == 0
    assert Card.read(folder / "policy.toml").seed == 4
    for ending in ("toml", "safetensors"):
        kept, best = folder / f"policy.{ending}", folder / "seed-4" / f"policy.{ending}"
        assert kept.read_bytes() == best.read_bytes()


@pytest.mark.usefixtures("in_this_process")
def test_default_folders_are_numbered_and_a_preset_may_be_a_file(here, capsys):
    scenario = here / "[b]small[x] :x: $.toml"
    scenario.write_text(build("toy", {"name": "small", "episode": {"max_rounds": 2}}).to_toml())
    arguments = [*TINY, "--scenario", str(scenario), "--compare", "fixed"]
    assert [train.main(arguments), train.main(arguments)] == [0, 0]
    assert sorted(path.name for path in (here / "runs").iterdir()) == [f"ppo-equivariant-small-{n}" for n in (1, 2)]
    out = capsys.readouterr().out
    assert "runs/ppo-equivariant-small-2" in out
    # Users' names are no markup.
    assert f"training ppo-equivariant on {scenario}: 128 rounds" in out
    # The run does not need the file any more: it has its own copy of the scenario.
    scenario.unlink()
    assert train.main(["--resume", "runs/ppo-equivariant-small-2"]) == 0


def copied(run, to):
    """A copy of the folder of a run."""
    shutil.copytree(run, to)
    return to


@pytest.mark.usefixtures("in_this_process")
def test_a_comparison_goes_on_with_the_episodes_that_are_missing(run, tmp_path, monkeypatch):
    folder, played, play = copied(run, tmp_path / "run"), [], runner._play
    monkeypatch.setattr(runner, "_play", lambda *arguments: played.append(arguments[0]) or play(*arguments))
    kept = (folder / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    agent = json.loads(kept[1])["episode"]["agent"]
    # One episode is whole, the other one torn; tables are made again.
    (folder / "episodes.jsonl").write_bytes(b"".join(kept[:2]) + kept[2][:1000])
    tables = ("table.md", "rounds.csv", "accuracy.png")
    for name in tables:
        (folder / name).unlink()
    assert train.main(["--resume", str(folder)]) == 0
    assert played == [{"greedy": "ppo-equivariant", "ppo-equivariant": "greedy"}[agent]]
    assert [(folder / name).read_bytes() for name in tables] == [(run / name).read_bytes() for name in tables]


@pytest.mark.usefixtures("in_this_process")
def test_episodes_of_another_policy_are_played_again(run, tmp_path, monkeypatch, capsys):
    folder, stem = copied(run, tmp_path / "run"), tmp_path / "run" / "seed-0" / "policy"
    weights = {name: value + 1 for name, value in load_file(f"{stem}.safetensors").items()}
    save_file(weights, f"{stem}.safetensors")
    card = Path(f"{stem}.toml").read_text().replace(digest(run / "policy"), digest(stem))
    Path(f"{stem}.toml").write_text(card)
    assert train.main(["--resume", str(folder)]) == 0
    assert "all episodes are played again: " in capsys.readouterr().out
    assert len((folder / "episodes.jsonl").read_bytes().splitlines()) == 3
    assert (folder / "rounds.csv").read_bytes() != (run / "rounds.csv").read_bytes()


def test_it_is_said_that_a_rule_is_imitated_only_where_a_policy_begins(run, tmp_path, capsys):
    for name, said in (("goes on", False), ("begins", True)):
        folder = copied(run, tmp_path / name)
        record = json.loads((folder / "run.json").read_text())
        record["settings"] |= {"imitate": "index"}
        (folder / "run.json").write_text(json.dumps(record))
        if said:
            shutil.rmtree(folder / "seed-0")
        assert train.main(["--resume", str(folder)]) == 0
        assert ("first it imitates index, for 32 rounds" in capsys.readouterr().out) == said


def test_nothing_is_loaded_of_a_learner_that_has_nothing_left_to_do(run, tmp_path, monkeypatch):
    """What is loaded cannot execute anything either."""
    monkeypatch.setattr(jobs, "load_learner", lambda *_: pytest.fail("loads"))
    folder = PolicyFolder(copied(run, tmp_path / "run") / "seed-0")
    environment = {"scenario": "toy", "learner": "surrogate"}
    settings = Hyperparameters.read(algorithms.get("ppo-equivariant"), "surrogate", tmp_path / "run" / "settings.yml")
    jobs.train(jobs.Job(folder.path, settings, environment, 0, "command"))


def test_a_search_writes_settings_that_can_be_trained_with_and_goes_on(tmp_path):
    """One trial; then one more is asked for."""
    folder = tmp_path / "what? 100 % {run}#1"
    assert train.main([*SMALL, "--steps", "192", "--tune", "1", "--out", str(folder)]) == 0
    equivariant = algorithms.get("ppo-equivariant")
    shipped, tuned = (Hyperparameters.read(equivariant, "surrogate", path) for path in (None, folder / "tuned.yml"))
    assert tuned.steps == shipped.steps
    assert tuned.arguments.keys() == shipped.arguments.keys()
    assert tuned.arguments["learning_rate"] != shipped.arguments["learning_rate"]
    record = json.loads((folder / "run.json").read_text())
    record["settings"] |= {"tune": 2}
    (folder / "run.json").write_text(json.dumps(record))
    assert train.main(["--resume", str(folder)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}
    (folder / "study.db").rename(tmp_path / "study.db")
    study = optuna.load_study(study_name="ppo-equivariant", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert len(study.trials) == 2
    assert all(0 < trial.value <= 20 for trial in study.trials if trial.value is not None)
    assert tuned_gamma(folder) == study.best_params["gamma"]


def tuned_gamma(folder):
    return Hyperparameters.read(algorithms.get("ppo-equivariant"), "surrogate", folder / "tuned.yml").arguments["gamma"]


# What goes wrong ---------------------------------------------------------------------------------------------------


fails = partial(error_line, train.main)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "nope"], ("'nope'", "iot")),
        (["--scenario", "iott"], ("'iott'", "did you mean 'iot'?")),
        (["--framework", "eps"], ("'eps'", "did you mean 'epsl'?")),
        (["--reward", "gain-latenc"], ("'gain-latenc'", "did you mean 'gain-latency'?")),
        (["--action", "priorit"], ("--action priorit with ppo-equivariant", "did you mean 'priority'?")),
        (["--action", "schedule"], ("--action schedule with ppo-equivariant", "allowed: priority")),
        (["--algorithm", "pppo"], ("'pppo'", "did you mean 'ppo'?")),
        (["--settings", "no.yml"], ("'no.yml' cannot be read",)),
        (["--tune", "-1"], ("--tune -1", "0..1000000")),
        (["--tune", "3", "--learner", "train"], ("--tune 3", "--learner surrogate")),
        (["--algorithm", "tqc", "--steps", "4000"], ("steps = 4000 with learning_starts = 5000 trains nothing",)),
        (["--framework", "sfl-v1", "--algorithm", "ppo"], ("surrogate", "calibrate")),
        (["--device", "cudaa"], ("device", "cudaa")),
        (["--compare", "gredy"], ("--compare", "'gredy'", "did you mean 'greedy'?")),
        (["--compare", "ppo", "fastest-k:n=3"], ("--compare", "'n'", "allowed: allocation, cut_layer, k")),
        (["--compare", "ppo:k=3"], ("--compare", "'k'", "allowed: policy, deterministic")),
        (["--compare", "fastest-k:k"], ("--compare", "'k'", "option=value")),
        (["--compare", "fastest-k:k=0"], ("--compare fastest-k:k=0", "1 or more")),
        (["--compare", "fixed:cut_layer=9"], ("--compare fixed:cut_layer=9", "1..3")),
        (["--compare", "ppo:policy=nowhere"], ("--compare ppo:policy=nowhere", "path of a run folder")),
        (["--compare", "ppo:deterministic=1"], ("--compare ppo:deterministic=1", "true or false")),
        (["--compare"], ("--compare names none", "greedy")),
        (["--seeds", "0"], ("--seeds", "1..100000")),
        (["--steps", "0"], ("--steps 0", "1..1000000000000")),
        (["--environments", "0"], ("--environments 0", "1..1000000")),
        (["--episodes", "-1"], ("--episodes -1", "1..10000")),
        (["--workers", "0"], ("--workers 0", "1..1000")),
        (["--workers", "1000000000"], ("--workers 1000000000", "1..1000")),
        (["--environments", "10000000000"], ("--environments", "1..1000000")),
        (["--episodes", "10000000000"], ("--episodes", "1..10000")),
        (["--seed", "-1"], ("--seed", "-1", "0..")),
        (["--seed", "99999"], ("--seed", "0..99998")),
        (["--resume", "nowhere"], ("nowhere", "no run")),
        (["--start", "nowhere"], ("policy = 'nowhere'", "iot-family")),
        (["--start", "toy", "--algorithm", "maskable-ppo"], ("policy = 'toy'", "path of a run folder")),
        (["--imitate", "indx"], ("--imitate indx", "did you mean 'index'?")),
        (["--imitate", "index:speed=a"], ("--imitate index:speed=a", "finite numbers")),
        (["--imitate", "ppo"], ("--imitate ppo", "a rule")),
        (["--imitate", "untrained:seed=1"], ("--imitate untrained:seed=1", "a rule")),
        (["--imitate", "index", "--algorithm", "tqc"], ("--imitate index", "tqc", "ppo-equivariant")),
        (["--imitate", "tuned:rule=index", "--scenario", "toy"], ("--imitate", "not tuned", "'toy'")),
        (["--imitate", "index", "--tune", "3"], ("--tune 3 with --imitate index",)),
        (["--start", "iot", "--tune", "3"], ("--tune 3 with --start iot",)),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("in_this_process")
def test_wrong_option_is_one_error_line_and_leaves_no_folder(here, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr(training, "train_all", lambda *_: pytest.fail("training began"))
    line = fails(capsys, *arguments)
    assert all(word in line for word in words), line
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    "arguments", [["--steps", "many"], ["--bogus", "1"], ["--environments", "1.5"], ["--learner", "x"]]
)
def test_what_cannot_be_parsed_is_refused_by_name(capsys, arguments):
    assert arguments[0] in fails(capsys, *arguments)


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


def trained_on_in_iot(folder):
    (folder / "scenario.toml").write_text(load("iot").to_toml())
    record = json.loads((folder / "run.json").read_text())
    record["settings"]["steps"] = 256
    (folder / "run.json").write_text(json.dumps(record))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "run.json").unlink(), "run.json"),
        (lambda folder: (folder / "run.json").write_text("{"), "run.json"),
        (lambda folder: (folder / "run.json").write_text("[1]"), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"steps": 3}}'), "run.json"),
        (
            lambda folder: (folder / "run.json").write_text('{"settings": {"compare": ["fixed"], "step": 1}}'),
            "run.json",
        ),
        (lambda folder: (folder / "run.json").write_text('{"settings": 5}'), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"compare": [], "steps": 0}}'), "--steps 0"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"compare": [], "seed": 1.5}}'), "run.json"),
        (lambda folder: (folder / "run.json").write_text('{"settings": {"compare": [], "action": 3}}'), "run.json"),
        (lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe"), "run.json"),
        (lambda folder: (folder / "seed-0" / "last.safetensors").write_text("no checkpoint"), "last.safetensors"),
        (lambda folder: (folder / "settings.yml").unlink(), "settings.yml"),
        (lambda folder: (folder / "scenario.toml").unlink(), "scenario.toml"),
        (lambda folder: (folder / "seed-0" / "last.zip").touch(), "last.zip is of an earlier version"),
        (trained_on_in_iot, "last.safetensors"),
    ],
    ids=[
        "no run.json",
        "half a run.json",
        "list",
        "settings missing",
        "unknown setting",
        "number",
        "setting not allowed",
        "half a seed",
        "number as text",
        "binary run.json",
        "text as checkpoint",
        "no settings of the algorithm",
        "no scenario",
        "earlier version",
        "other scenario",
    ],
)
def test_broken_run_folder_is_one_error_line(run, tmp_path, capsys, damage, word):
    folder = tmp_path / "run"
    (folder / "seed-0").mkdir(parents=True)
    for name in ("run.json", "seed-0/last.safetensors", "scenario.toml", "settings.yml"):
        (folder / name).write_bytes((run / name).read_bytes())
    damage(folder)
    assert word in fails(capsys, "--resume", str(folder))


def raises(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize("error", [EOFError(), BrokenPipeError(), ConnectionResetError(), BrokenProcessPool("ended")])
def test_death_of_a_worker_is_one_error_line(tmp_path, capsys, monkeypatch, error):
    monkeypatch.setattr(training, "train_all", raises(error))
    assert "worker process died" in fails(capsys, *TINY, "--out", str(tmp_path / "run"))


def test_out_that_is_a_file_is_one_error_line(tmp_path, capsys):
    path = tmp_path / "file"
    path.touch()
    assert fails(capsys, *TINY, "--out", str(path)) == f"error: --out {path} is not a folder"


@pytest.mark.usefixtures("here")
def test_name_of_a_scenario_makes_no_nested_folders():
    assert RunFolder.create(None, "ppo-a/b c").path == Path("runs/ppo-a-b-c-1")


def test_help_shows_defaults_and_units(capsys):
    with pytest.raises(SystemExit) as end:
        train.main(["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(name in text for name in agents.names())
    for words in ("default: iot", "default: surrogate", "training rounds", "processes", "--resume DIR", "--out DIR"):
        assert words.lower() in text.lower(), words
    assert "Train a scheduler" in text


# Ctrl-C ------------------------------------------------------------------------------------------------------------


def interrupted(folder, until, *arguments):
    """Sends SIGINT to the whole process group, as a terminal does, once `until()` holds."""
    command = [sys.executable, str(ROOT / "train_agent.py"), *arguments, "--out", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            give_up = time.monotonic() + 600
            while not until() and process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            out, errors = process.communicate(timeout=300)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 130, errors
    assert nobody_is_left(process.pid)
    assert "Stopped." in out
    assert "Traceback" not in errors + out
    return out


def nobody_is_left(group):
    """Whether all processes of a group have ended, given some seconds."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_in_training_keeps_what_was_saved_last_and_resume_goes_on(tmp_path, monkeypatch):
    """A policy with two environments that train for real, in processes of their own."""
    folder, small = tmp_path / "a run", tmp_path / "small.yml"
    settings = Hyperparameters.read(algorithms.get("ppo-equivariant"), "train")
    settings.changed(n_steps=32, batch_size=64).write(small, "train")
    checkpoint = folder / "seed-0" / "last.safetensors"
    options = ["--scenario", "toy", "--learner", "train", "--steps", "1000000", "--settings", str(small)]
    out = interrupted(folder, checkpoint.exists, *options, "--environments", "2", "--seeds", "1")
    assert shlex.join([str(ROOT / "train_agent.py"), "--resume", str(folder)]) in out
    done = steps_done(checkpoint)
    assert done >= 64
    assert done % 64 == 0
    record = json.loads((folder / "run.json").read_text())
    record["settings"] |= {"steps": done + 1, "compare": ["fixed"], "episodes": 1}
    (folder / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(jobs, "SubprocVecEnv", lambda makers, **_: DummyVecEnv(makers))
    assert train.main(["--resume", str(folder)]) == 0
    assert steps_done(checkpoint) == done + 64
    assert (folder / "table.md").exists()


def test_ctrl_c_before_there_is_a_folder_says_so(capsys, monkeypatch):
    monkeypatch.setattr(training, "build", raises(KeyboardInterrupt))
    assert train.main([]) == 130
    assert capsys.readouterr().out.strip() == "Stopped."


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_while_workers_begin_is_heard_and_the_run_can_be_resumed(tmp_path):
    folder = tmp_path / "run"
    interrupted(folder, (folder / "run.json").exists, *TINY, "--compare", "fixed")
    assert not (folder / "seed-0" / "last.safetensors").exists()
    assert train.main(["--resume", str(folder)]) == 0
    assert steps_done(folder / "seed-0" / "last.safetensors") == 128


@pytest.mark.parametrize(
    ("python", "shown"), [(".venv/bin/python", ".venv/bin/python"), ("/usr/bin/python3", "/usr/bin/python3")]
)
def test_how_to_go_on_can_be_typed(here, monkeypatch, python, shown):
    monkeypatch.setattr(sys, "executable", str(here / python))
    monkeypatch.setattr(sys, "argv", ["train_agent.py", "--scenario", "toy"])
    text = how_to_go_on(Path("my runs/1"))
    assert text.endswith(f"\n  {shown} train_agent.py --resume 'my runs/1'")
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/splitgym", "train", "--scenario", "toy"])
    assert how_to_go_on(Path("run")).endswith(f"\n  {shown} -m splitgym train --resume run")


def test_ctrl_c_in_the_comparison_ends_it_at_once_and_quietly(tmp_path):
    """Its episodes are endless, so the command ends in time only if it does not wait for them."""
    folder, scenario, began = tmp_path / "run", tmp_path / "endless.toml", []
    endless = {"max_rounds": 10**9, "time_budget_s": 1e9, "target_accuracy": 1.0}
    scenario.write_text(build("toy", {"episode": endless}).to_toml())

    def comparing():
        """Training of one rollout is done; give the workers of the comparison the time to begin."""
        if (folder / "policy.toml").exists():
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] > 2

    options = ["--scenario", str(scenario), "--learner", "train", "--environments", "1", "--seeds", "1"]
    options += ["--steps", "64", "--episodes", "4", "--workers", "1"]
    interrupted(folder, comparing, *options, "--compare", "random", "fixed")


def test_of_the_usual_schedulers_those_are_compared_that_can_be_made():
    def made(scenario, **options):
        env = gym.make("SplitLearning-v0", scenario=scenario, learner="surrogate", **options)
        env.reset(seed=0)
        return {agent for agent in train.USUAL if training._can_be_made(agent, env)}

    assert made("iot", action="priority") == set(train.USUAL)
    assert made("toy", action="discrete") == {"greedy", "best-fixed", "unified", "random"}
