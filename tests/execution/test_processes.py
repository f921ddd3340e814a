"""The command, with processes of its own."""

import signal
import socket
from threading import Timer

import gymnasium as gym
import pytest
from command_lines import error_line

from splitgym import schedulers
from splitgym.__main__ import main
from splitgym.execution import session
from splitgym.execution.gathering import gather, started_here, welcome
from splitgym.execution.run import Execution, simulated
from splitgym.execution.secret import new_secret
from splitgym.scenario import build


def test_the_command_plays_rounds_and_writes_what_it_measured(tmp_path, capsys):
    out = tmp_path / "executed"
    options = ["--scenario", "toy", "--rounds", "2", "--scale", "3", "--out", str(out)]
    assert main(["execute", *options]) == 0
    said = capsys.readouterr().out
    assert said.count("weights equal; 4,096 bytes as charged") == 2
    assert "the simulator's, to the bit, after each of 2 rounds" in said
    lines = (out / "timeline.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * (2 * 6 + 1)  # Six phases of two clients, and the round.
    assert (out / "timeline.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("sharing", "out", "words"),
    [
        ("on-demand", "executed", "radio.sharing = 'on-demand' with framework = 'u-shaped'"),
        ("static", "file/executed", "Not a directory"),
    ],
)
def test_what_cannot_end_well_is_refused_before_processes_start(sharing, out, words, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    own = tmp_path / "own.toml"
    own.write_text(build("toy", {"radio": {"sharing": sharing}}).to_toml())
    monkeypatch.setattr(session, "clients", None)
    options = ["--scenario", str(own), "--framework", "u-shaped", "--out", str(tmp_path / out)]
    assert words in error_line(main, capsys, "execute", *options)


def test_a_process_that_is_killed_leaves_the_round_to_the_others():
    env = gym.make("splitgym:SplitLearning-v0", scenario="toy", framework="psl", action="schedule").unwrapped
    decide = schedulers.make("greedy", env).decide
    env.reset(seed=0)
    learner, secret = simulated(env), new_secret()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with started_here(2, listener.getsockname()[1], secret) as processes:
            links = gather(listener, 2, secret.encode(), print, processes)
            told = learner.scenario, learner.framework.name, learner.seed
            execution = Execution(env, decide, *welcome(links, *told, print), scale=10.0)
            Timer(0.2, processes[0].send_signal, [signal.SIGKILL]).start()
            rounds = [execution.play() for _ in range(2)]
            execution.end()
        assert sorted(process.returncode for process in processes) == [-signal.SIGKILL, 0]
    ((lost, _),) = rounds[0].measured.lost.items()
    assert all(played.weights_equal for played in rounds)
    assert [played.measured.took_part for played in rounds] == [(1 - lost,)] * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "0"], "--rounds 0, allowed: 1 or more"),
        (["--scale", "-1"], "--scale -1, allowed: 1e-6 to 1e6"),
        (
            ["--framework", "cpsl"],
            "framework = 'cpsl', allowed: psl, epsl, psl-drop, epsl-pt, u-shaped, hierarchical, fl, sl, sfl-v1",
        ),
        (["--listen", "a:1", "--join", "b:1"], "--listen a:1 and --join b:1, allowed: one of them"),
        (["--join", "nowhere"], "address = 'nowhere', allowed: HOST:PORT"),
        (["--join", "127.0.0.1:9", "--secret-file", "no-such-file"], "no-such-file"),
    ],
)
def test_what_is_not_allowed_is_one_line(options, words, capsys):
    assert words in error_line(main, capsys, "execute", *options)


def test_a_secret_is_no_argument(capsys):
    with pytest.raises(SystemExit):
        main(["execute", "--help"])
    assert "--secret " not in capsys.readouterr().out
