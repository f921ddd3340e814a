"""`python -m splitgym`."""

import re
import sys

import pytest
from command_lines import error_line
from PIL import Image

from splitgym.__main__ import main
from splitgym.kernels import cache_folder


def test_a_gif_has_a_frame_before_the_first_round_and_one_of_each(tmp_path, capsys):
    out = tmp_path / "round.gif"
    options = ["--agent", "fastest-k:k=1", "--scenario", "toy", "--rounds", "3", "--fps", "2", "--out", str(out)]
    assert main(["render", *options]) == 0
    with Image.open(out) as gif:
        assert gif.n_frames == 4
        assert gif.size == (1280, 720)
        assert gif.info["duration"] == 500
        assert gif.info["loop"] == 0
    assert "4 frames" in capsys.readouterr().out


def test_the_same_command_makes_the_same_gif(tmp_path):
    files = [tmp_path / "first.gif", tmp_path / "second.gif"]
    for out in files:
        main(["render", "--scenario", "toy", "--learner", "surrogate", "--rounds", "2", "--out", str(out)])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_episode_that_ends_early_ends_the_gif(tmp_path):
    (tmp_path / "short.toml").write_text('name = "short"\n[episode]\nmax_rounds = 2\n')
    out = tmp_path / "round.gif"
    options = ["--scenario", str(tmp_path / "short.toml"), "--learner", "train", "--rounds", "9", "--out", str(out)]
    assert main(["render", *options]) == 0
    with Image.open(out) as gif:
        assert gif.n_frames == 3


def test_without_a_file_the_rounds_are_printed(capsys):
    assert main(["render", "--scenario", "toy", "--framework", "psl", "--rounds", "2"]) == 0
    shown = capsys.readouterr().out
    assert all(f"toy, psl, train: round {number} of 150" in shown for number in range(3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--agent", "gredy"], "did you mean 'greedy'?"),
        (["--agent", "fastest-k:q=1"], "options allowed"),
        (["--scenario", "ioot"], "did you mean 'iot'?"),
        (["--framework", "eps"], "did you mean 'epsl'?"),
        (["--rounds", "0"], "--rounds 0, allowed: 1 or more"),
        (["--seed", "-1"], "--seed -1, allowed: 0 or more"),
        (["--fps", "0"], "--fps 0, allowed: 0.1 to 50"),
        (["--out", "round.mp4"], "--out round.mp4, allowed: a name that ends in .gif"),
        (["--out", "nowhere/round.gif"], "there is no folder nowhere"),
    ],
)
def test_wrong_options_are_one_line(options, words, capsys):
    assert words in error_line(main, capsys, "render", "--scenario", "toy", *options)


def test_the_warm_up_says_what_it_compiles_where_it_is_and_how_long_it_took(capsys):
    assert main(["warm-up", "--actions", "discrete", "--sharing", "static"]) == 0
    said = capsys.readouterr()
    before, after = said.out.splitlines()
    assert "actions discrete; sharing static" in before
    assert re.fullmatch(rf"done in \d+\.\d s; compiled kernels are in {re.escape(str(cache_folder()))}", after)
    assert said.err == ""


def test_help_names_the_commands_and_their_options(capsys):
    for arguments, words in (
        (["--help"], ("render", "GIF", "compare", "train", "experiments")),
        (["render", "--help"], ("--agent", "--out", "--learner")),
        (["warm-up", "--help"], ("--actions", "--sharing", "SPLITGYM_CACHE")),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words)


OWN = """
from splitgym.schedulers.rule import Rule


class Two(Rule):
    def __init__(self, env, k=2):
        super().__init__(env, selection="fastest-k", k=k)

    @classmethod
    def options(cls, **chosen):
        return ("k",)
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["render", "--agent", "{}", "--learner", "surrogate", "--rounds", "1"], "round 1 of 150"),
        (["execute", "--agent", "{}", "--rounds", "1", "--scale", "1e-3"], "round"),
        (
            ["replay", "--agents", "{}", "greedy", "--learner", "surrogate", "--rounds", "1", "--out", "x.html"],
            "x.html",
        ),
        (["compare", "--agents", "{}", "--episodes", "1", "--workers", "1", "--out", "run"], "{}"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_command_takes_a_scheduler_of_ones_own(tmp_path, monkeypatch, capsys, command, said):
    """In the working directory, which the installed program does not have among its paths by itself."""
    (tmp_path / "rule_of_ones_own.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    name = "rule_of_ones_own:Two:k=1"
    scenario = "--scenarios" if command[0] == "compare" else "--scenario"
    assert main([word.format(name) for word in command] + [scenario, "toy"]) == 0
    assert said.format(name) in capsys.readouterr().out
