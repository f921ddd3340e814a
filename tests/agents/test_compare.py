"""The command line of comparisons: what it leaves behind, that it repeats, and what it refuses."""

import json
import re
import sys
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from command_lines import error_line
from in_process import compare_in_this_process

import agents
from agents import compare as command
from agents import comparing, learned, provenance
from agents.algorithms import ALGORITHMS
from agents.learned import GENERAL
from splitgym.evaluation import HELD_OUT, runner
from splitgym.scenario import build, load

TINY = ["--scenarios", "toy", "--episodes", "3", "--workers", "1"]
FEW = ["--agents", "fixed", "fastest-k:k=1"]
FILES = ("episodes.csv", "table.csv", "table.md", "paired.csv")


@pytest.fixture
def in_this_process(monkeypatch):
    compare_in_this_process(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole comparison of all agents."""
    folder = tmp_path_factory.mktemp("compare") / "run"
    assert command.main([*TINY, "--out", str(folder)]) == 0
    return folder


def test_everything_is_in_the_folder(folder):
    plots = {f"{kind}-toy.{suffix}" for kind in ("times", "profiles", "trade-off") for suffix in ("png", "pdf")}
    expected = {*FILES, "episodes.jsonl", "report.html", "run.json", "toy.toml", *plots}
    assert {path.name for path in folder.iterdir()} == expected


def test_all_agents_that_need_nothing_are_compared(folder):
    compared = set(pd.read_csv(folder / "table.csv")["agent"])
    assert compared - ALGORITHMS.keys() == set(agents.names()) - ALGORITHMS.keys() - {
        "look-ahead",
        "rollout",
        "tuned",
        "gpsl",
    }


def test_the_oracle_is_the_best_of_rules_and_look_aheads(tmp_path, monkeypatch, in_this_process):
    ahead = "look-ahead:candidates=greedy,horizon=2"
    monkeypatch.setattr(comparing, "LOOK_AHEADS", (ahead,))
    named = ["--agents", "fixed", "random", "untrained", "--action", "priority", "--reference", "oracle"]
    assert command.main([*TINY, *named, "--out", str(tmp_path / "run")]) == 0
    kept = pd.read_csv(tmp_path / "run" / "episodes.csv")
    times = kept.pivot_table(index="seed", columns="agent", values="time_to_target_s")
    assert (times["oracle"] == times[["fixed", "random", "greedy", ahead]].min(axis=1)).all()
    table = pd.read_csv(tmp_path / "run" / "table.csv").set_index("agent")
    assert {"headroom", "headroom_low", "headroom_high"} <= set(table.columns)
    assert "oracle is fastest" not in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("shipped", "scenarios", "compared"),
    [
        ((), ("toy",), {"best-fixed"}),
        (("toy",), ("toy",), {"best-fixed", "ppo-equivariant"}),
        (("toy",), ("iot", "toy"), {"best-fixed"}),
        (("toy", GENERAL), ("iot", "toy"), {"best-fixed", "ppo-equivariant"}),
        (("toy", GENERAL), ("toy", "epsl"), {"ppo-equivariant"}),
    ],
)
@pytest.mark.usefixtures("in_this_process")
def test_what_every_scenario_has_is_compared(policies, tmp_path, monkeypatch, shipped, scenarios, compared):
    """Shipped policies, own or general, and the fixed decision, which is not tuned for epsl."""
    (tmp_path / "ppo-equivariant").mkdir()
    for scenario, ending in product(shipped, ("safetensors", "toml")):
        content = (policies["ppo-equivariant"] / f"policy.{ending}").read_bytes()
        (tmp_path / "ppo-equivariant" / f"{scenario}.{ending}").write_bytes(content)
    monkeypatch.setattr(learned, "TRAINED", tmp_path)
    monkeypatch.setattr(comparing, "compare", lambda makers, *_: made.update(makers) or [])
    monkeypatch.setattr(comparing, "_write", lambda *_: None)
    made = {}
    assert command.main(["--scenarios", *scenarios, "--out", str(tmp_path / "run")]) == 0
    assert {*made} & {"best-fixed", *ALGORITHMS} == compared
    assert "greedy" in made


@pytest.mark.usefixtures("in_this_process")
def test_rounds_of_all_episodes_are_written_if_asked_for(tmp_path):
    folder = tmp_path / "run"
    assert command.main([*TINY, *FEW, "--rounds", "--out", str(folder)]) == 0
    rounds = pd.concat(pd.read_csv(path) for path in folder.glob("rounds/toy/*/*-rounds.csv.gz"))
    episodes = pd.read_csv(folder / "episodes.csv")
    assert len(episodes) == 9
    played = rounds.groupby(["scenario", "agent", "seed"]).size().reset_index(name="rounds")
    keys = ["agent", "seed", "rounds"]
    assert sorted(map(tuple, played[keys].to_numpy())) == sorted(map(tuple, episodes[keys].to_numpy()))


@pytest.mark.usefixtures("in_this_process")
def test_policies_of_different_encodings_stand_in_one_table(policies, tmp_path):
    names = [f"{name}:policy={policies[name]}" for name in ("ppo", "ppo-equivariant", "tqc")]
    assert command.main([*TINY, "--agents", *names, "--out", str(tmp_path / "run")]) == 0
    assert set(pd.read_csv(tmp_path / "run" / "table.csv")["agent"]) == {"greedy", *names}


def test_folder_holds_what_is_needed_to_repeat_the_comparison(folder):
    record = json.loads((folder / "run.json").read_text())
    assert record["command"].startswith("splitgym compare --scenarios toy")
    assert record["settings"]["episodes"] == 3
    assert {"machine", "python", "splitgym", "numpy", "scipy", "torch"} <= set(record["versions"])
    assert record["versions"]["sources"] == provenance.sources()
    assert record["torch_threads"] == 1
    assert load(folder / "toy.toml") == load("toy")


def test_report_says_how_it_was_made(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "splitgym compare --scenarios toy --episodes 3",
        "surrogate, a model of the training",
        "episodes = 3",
        "torch ",
        "Torch threads",
        "counts with the whole time budget",
        "interquartile means",
        "Performance profile",
    ):
        assert words in text, words
    assert text.count("data:image/png;base64,") == 3


def test_episodes_are_on_held_out_seeds_and_end_at_the_target(folder):
    table = pd.read_csv(folder / "episodes.csv")
    assert sorted(table["seed"].unique()) == [HELD_OUT, HELD_OUT + 1, HELD_OUT + 2]
    assert "final_accuracy" not in table
    reached = table[table["reached"]]
    assert len(reached)
    assert reached["time_to_target_s"].to_numpy() == pytest.approx(
        (reached["round_latency_s"] * reached["rounds"]).to_numpy()
    )


def test_same_command_gives_the_same_tables_with_any_number_of_workers(tmp_path):
    for workers in ("1", "2"):
        arguments = ["--scenarios", "toy", "--episodes", "9", *FEW, "--workers", workers]
        assert command.main([*arguments, "--out", str(tmp_path / workers)]) == 0
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


@pytest.mark.usefixtures("in_this_process")
def test_another_seed_is_another_comparison(tmp_path):
    for seed in ("0", "3"):
        assert command.main([*TINY, *FEW, "--seed", seed, "--out", str(tmp_path / seed)]) == 0
    one, other = (pd.read_csv(tmp_path / seed / "episodes.csv") for seed in ("0", "3"))
    assert not set(one["seed"]) & set(other["seed"])


@pytest.mark.usefixtures("in_this_process")
def test_the_baseline_alone_is_summarised(tmp_path):
    assert command.main([*TINY, "--agents", "fixed", "--baseline", "fixed", "--out", str(tmp_path / "run")]) == 0
    assert list(pd.read_csv(tmp_path / "run" / "table.csv")["agent"]) == ["fixed"]
    assert "Episode by episode" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_scenarios_that_would_write_to_the_same_file_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a b", "a-b"):
        Path(f"{name}.toml").write_text(build("toy", {"name": name}).to_toml())
    assert command.main(["--scenarios", "a b.toml", "a-b.toml", *FEW, "--out", "run"]) != 0
    assert "scenarios 'a b' and 'a-b' have the same file name 'a-b'" in " ".join(capsys.readouterr().err.split())
    assert not Path("run").exists()


@pytest.mark.usefixtures("in_this_process")
def test_several_scenarios_with_a_reference_and_curves_by_real_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "a b"):
        scenario = build("toy", {"name": name, "episode": {"max_rounds": 4, "target_accuracy": 0.15}})
        (tmp_path / f"{name}.toml").write_text(scenario.to_toml())
    arguments = [
        "--scenarios",
        "one.toml",
        "a b.toml",
        *FEW,
        "--reference",
        "look-ahead:horizon=2",
        "--until",
        "budget",
    ]
    assert command.main([*arguments, "--learner", "train", "--episodes", "2"]) == 0
    folder = tmp_path / "runs" / "compare-one-a-b-1"
    table = pd.read_csv(folder / "table.csv")
    assert set(table["scenario"]) == {"one", "a b", "all"}
    # Baseline and reference run without being named again.
    assert set(table["agent"]) == {"fixed", "fastest-k:k=1", "greedy", "look-ahead:horizon=2"}
    assert {"headroom", "final_accuracy"} <= set(table)
    assert (pd.read_csv(folder / "episodes.csv")["rounds"] == 4).all()
    names = {path.name for path in folder.glob("*.png")}
    assert names == {
        "times-all.png",
        *(f"{plot}-{name}.png" for plot in ("times", "profiles", "trade-off", "accuracy") for name in ("one", "a-b")),
    }


def stopping(monkeypatch, after):
    """Ctrl-C comes when so many episodes are played."""
    play, played = runner._play, []

    def counting(*arguments):
        played.append(arguments[0])
        if len(played) > after:
            raise KeyboardInterrupt
        return play(*arguments)

    monkeypatch.setattr(runner, "_play", counting)
    return played


@pytest.mark.usefixtures("in_this_process")
def test_the_same_command_goes_on_and_leaves_what_one_without_a_stop_leaves(tmp_path, monkeypatch, capsys):
    arguments = [*TINY, *FEW]
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert command.main(arguments) == 0
    monkeypatch.chdir(tmp_path / "stopped")
    with monkeypatch.context() as patch:
        stopping(patch, after=6)
        assert command.main(arguments) == 130
    out = capsys.readouterr().out
    (kept,) = re.findall(r"Stopped\. (\d) episodes are kept; the same command goes on\.$", out.strip())
    assert 1 < int(kept) < 9
    with monkeypatch.context() as patch:
        played = stopping(patch, after=100)
        assert command.main(arguments) == 0
        assert len(played) == 9 - int(kept)
    whole, stopped = (tmp_path / name / "runs" / "compare-toy-1" for name in ("whole", "stopped"))
    for path in whole.iterdir():
        # Episodes are kept in the order in which they end.
        one, other = (sorted(each.read_bytes().split(b"\n")) for each in (path, stopped / path.name))
        assert one == other, path.name
    # What is finished is not begun again in its folder, unless this is asked for; then nothing is played again.
    stopping(monkeypatch, after=0)
    monkeypatch.setattr(comparing, "_write", lambda *_: None)
    assert command.main([*arguments, "--out", "runs/compare-toy-1"]) == 0
    assert command.main(arguments) == 130
    assert {path.name for path in Path("runs").iterdir()} == {"compare-toy-1", "compare-toy-2"}


@pytest.mark.usefixtures("in_this_process")
def test_episodes_of_another_comparison_never_mix(tmp_path, monkeypatch, capsys):
    scenario = tmp_path / "small.toml"
    scenario.write_text(build("toy", {"name": "small", "episode": {"max_rounds": 4}}).to_toml())
    out = ["--scenarios", str(scenario), "--episodes", "2", "--workers", "1", "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        stopping(patch, after=3)
        assert command.main([*out, *FEW]) == 130
    capsys.readouterr()
    for changed, words in (
        ([*out, *FEW, "--seed", "1"], "seed is 1, was 0"),
        ([*out, *FEW, "--episodes", "3"], "episodes is 3, was 2"),
        ([*out, "--agents", "fixed"], "agents is ['fixed'], was ['fixed', 'fastest-k:k=1']"),
        ([*out, *FEW, "--framework", "psl"], "framework is 'psl', was 'epsl'"),
    ):
        assert words in fails(capsys, *changed)
    monkeypatch.setattr(provenance, "sources", lambda *_: "other code")
    assert "sources is 'other code', was " in fails(capsys, *out, *FEW)
    monkeypatch.undo()
    scenario.write_text(build("toy", {"name": "small", "episode": {"max_rounds": 5}}).to_toml())
    assert "scenario small is " in fails(capsys, *out, *FEW)


def test_scenarios_whose_files_would_have_the_same_name_are_refused(tmp_path, capsys):
    paths = []
    for number, name in enumerate(("a b", "A-b")):
        paths.append(tmp_path / f"{number}.toml")
        paths[-1].write_text(build("toy", {"name": name}).to_toml())
    line = fails(capsys, "--scenarios", *map(str, paths))
    assert "scenarios 'a b' and 'A-b' have the same file name 'A-b'" in line


# What goes wrong ---------------------------------------------------------------------------------------------------


fails = partial(error_line, command.main)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenarios", "iott"], ("'iott'", "did you mean 'iot'?")),
        (["--scenarios", "toy", "toy"], ("scenarios 'toy' and 'toy'", "same file name")),
        (["--agents", "gredy"], ("--agents gredy", "did you mean 'greedy'?")),
        (["--agents", "fastest-k:n=3"], ("--agents fastest-k:n=3", "'n'", "allowed: allocation, cut_layer, k")),
        (["--agents", "fixed:cut_layer=9"], ("--agents fixed:cut_layer=9", "1..2")),
        (["--agents", "ppo"], ("--agents ppo", "splitgym train --algorithm ppo --scenario toy")),
        (["--agents", "ppo:policy=nowhere"], ("policy = 'nowhere'", "path of a run folder")),
        (["--baseline", "gredy"], ("--baseline gredy", "did you mean 'greedy'?")),
        (["--reference", "look-ahed"], ("--reference look-ahed", "did you mean 'look-ahead'?")),
        (["--framework", "eps"], ("'eps'", "did you mean 'epsl'?")),
        (["--action", "schedul"], ("schedul", "schedule")),
        (["--learner", "train", "--device", "cudaa"], ("device", "cudaa")),
        (["--episodes", "0"], ("--episodes 0", "1..10000")),
        (["--episodes", "10001"], ("--episodes 10001", "1..10000")),
        (["--workers", "0"], ("--workers 0", "1..1000")),
        (["--seed", "-1"], ("--seed -1", "0..1000000000")),
    ],
    ids=" ".join,
)
def test_wrong_option_is_one_error_line_and_leaves_no_folder(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparing, "compare", lambda *_: pytest.fail("episodes began"))
    base = [] if "--scenarios" in arguments else ["--scenarios", "toy"]
    line = fails(capsys, *base, *arguments)
    assert all(word in line for word in words), line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [["--learner", "surogate"], ["--until", "end"], ["--bogus", "1"]])
def test_what_cannot_be_parsed_is_refused_by_name(capsys, arguments):
    assert arguments[0] in fails(capsys, *arguments)


def test_a_scenario_that_the_surrogate_is_not_calibrated_for_says_how_to_calibrate(tmp_path, capsys):
    scenario = tmp_path / "mine.toml"
    scenario.write_text(build("toy", {"name": "mine", "training": {"batch_size": 7}}).to_toml())
    assert "experiments calibrate" in fails(capsys, "--scenarios", str(scenario))


def test_results_are_not_overwritten(folder, capsys):
    before = (folder / "table.csv").read_bytes()
    line = fails(capsys, *TINY, *FEW, "--out", str(folder))
    assert f"{folder / 'episodes.jsonl'} holds episodes of another comparison: agents is ['fixed', " in line
    assert line.endswith("choose another --out")
    assert (folder / "table.csv").read_bytes() == before


def raising(error):
    def function(*_):
        raise error

    return function


def test_death_of_a_worker_is_one_error_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(comparing, "compare", raising(BrokenProcessPool("ended")))
    assert "worker process died" in fails(capsys, *TINY, *FEW, "--out", str(tmp_path / "run"))


def test_ctrl_c_says_stopped(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(comparing, "compare", raising(KeyboardInterrupt))
    assert command.main([*TINY, *FEW, "--out", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().out.strip().endswith("Stopped. 0 episodes are kept; the same command goes on.")


def test_help_shows_defaults_and_units(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compare.py", "--help"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(name in text for name in agents.names())
    for words in ("usage: splitgym compare", "default: iot", "default: 100", "default: greedy", "processes"):
        assert words.lower() in text.lower(), words
    assert "Compare schedulers on common held-out seeds" in text
