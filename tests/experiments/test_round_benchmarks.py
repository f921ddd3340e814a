"""The benchmark of rounds: its bound by hand, the work of its plain loop, its command. Nothing here depends on time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.benchmarks.baselines import ClientLoop
from experiments.benchmarks.flops import flop_ratio, round_flops
from experiments.benchmarks.judged import Verdict, judged
from experiments.benchmarks.processes import SubjectFailedError, SubjectProcess
from experiments.benchmarks.rounds import Options, all_settings, quick_settings, run
from experiments.benchmarks.subjects import COPIES, LOOP, PLAIN, Setting, Subject
from experiments.benchmarks.tables import key_of, markdown, summary
from splitgym.frameworks import get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.models import Profile, build
from splitgym.scenario import Training

TINY = Setting("cnn", 8, 2, 4, 1, (Subject("psl"), Subject("epsl", 1.0), Subject("epsl", 0.0), Subject(LOOP)))


def small_profile() -> Profile:
    """Client of one unit: 10 forward, 5 back; server: 20 + 2 forward, 40 back, and 4 of the last layer."""
    return Profile(np.array([10.0, 20.0, 2.0]), np.array([5.0, 40.0, 4.0]), np.ones(3), np.ones(3))


@pytest.mark.parametrize(
    ("phi", "by_hand"),
    [
        (0.0, 12 * (15 + 22) + 12 * 44),
        # m = 2: 2 + 3 * 2 rows back.
        (0.5, 12 * (15 + 22) + 8 * 44),
        # m = ceil(0.6 * 4) = 3.
        (0.6, 12 * (15 + 22) + 6 * 44),
        (1.0, 12 * (15 + 22) + 4 * 44),
    ],
)
def test_flops_of_a_round_are_those_computed_by_hand(phi: float, by_hand: float) -> None:
    assert round_flops(small_profile(), 1, clients=3, batch_size=4, aggregation_ratio=phi) == by_hand
    assert flop_ratio(small_profile(), 1, 3, 4, phi) == pytest.approx(by_hand / 972)


def test_one_client_alone_saves_nothing() -> None:
    assert flop_ratio(small_profile(), 1, clients=1, batch_size=4, aggregation_ratio=1.0) == 1


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_the_plain_loop_takes_the_steps_of_psl(cut: int) -> None:
    clients, rows = 3, 5
    training = Training(
        batch_size=rows, client_learning_rate=0.1, server_learning_rate=0.05, momentum=0.9, weight_decay=0.01
    )
    network = build("cnn", (1, 8, 8), 10).double()
    loop = ClientLoop(network, cut, clients, training)
    nodes = Nodes(network, clients, training)
    nodes.move_cut(cut, range(clients), np.full(clients, 1 / clients))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        images = torch.randn(clients, rows, 1, 8, 8, generator=generator, dtype=torch.float64)
        labels = torch.randint(10, (clients, rows), generator=generator)
        weights = torch.full((clients,), 1 / clients, dtype=torch.float64)
        round_batch = RoundBatch(tuple(range(clients)), weights, images, labels, 0, torch.zeros_like(weights))
        assert get("psl").train(nodes, round_batch)
        loop.round(images, labels)
    for own, node in zip(loop.clients, nodes.clients, strict=True):
        for a, b in zip(own.parameters(), node.parameters, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    for a, b in zip(loop.server.parameters(), nodes.server.parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_a_tiny_run_saves_and_returns_its_tables(tmp_path: Path) -> None:
    text = run([TINY], Options(passes=1, out=tmp_path))
    assert (tmp_path / "rounds.md").read_text(encoding="utf-8") == text
    table = pd.read_csv(tmp_path / "rounds.csv")
    assert list(table["framework"]) == [subject.label for subject in TINY.subjects]
    assert (table["seconds"] > 0).all()
    assert "### cnn, 8 px, 2 x 4, cut 1" in text
    assert "### Judged" in text


def test_a_process_says_why_it_failed() -> None:
    process = SubjectProcess(TINY, Subject("no such framework"), 1)
    with pytest.raises(SubjectFailedError, match="no such framework"):
        process.wait_until_warm()
    process.close()


def measured(seconds: dict[str, list[float]], setting: Setting) -> list[dict[str, object]]:
    """Rounds of subjects as `run` collects them."""
    return [
        {**key_of(setting), "label": label, "seconds": s, "peak_mib": 1.0}
        for label, own in seconds.items()
        for s in own
    ]


def test_tables_and_verdicts_come_from_medians() -> None:
    subjects = (Subject("centralised"), Subject("psl"), Subject("epsl", 0.0), Subject("epsl", 1.0))
    five = Setting("resnet18", 64, 5, 64, 2, subjects)
    hundred = Setting("resnet18", 64, 100, 64, 2, subjects)
    seconds = {
        PLAIN: [2.0],
        COPIES: [3.0],
        "centralised": [1.0, 9.0, 2.0],
        "psl": [2.0, 1.0, 2.0],
        "epsl, phi = 0": [2.0],
        "epsl, phi = 1": [1.5],
    }
    rounds = pd.DataFrame(measured(seconds, five) + measured({"psl": [60.0]}, hundred))
    table = summary(rounds, [five, hundred])
    psl = table[(table["framework"] == "psl") & (table["clients"] == 5)].iloc[0]
    assert (psl["seconds"], psl["seconds_min"], psl["rows_per_s"]) == (2.0, 1.0, 160.0)
    assert (psl["over_plain"], psl["over_centralised"], psl["times_copies"]) == (1.0, 1.0, 1.5)
    aggregated = table[table["framework"] == "epsl, phi = 1"].iloc[0]
    assert aggregated["over_phi_0"] == 0.75
    assert 0.5 < aggregated["flop_bound"] < 0.75
    assert "| psl | 2 | 1 | 160 | 1.00 | 1.00 |" in markdown(table)
    verdicts = judged(table)
    assert "5 x 64: EPSL phi = 1 / centralised: at most 0.62 | 0.750 | **not met** |" in verdicts
    assert "5 x 64: psl times as fast as deep-copy loop (c): at least 1.1 | 1.500 | met |" in verdicts
    # 60 s for 6400 rows against 2 s for 320.
    assert "resnet18: time per row of psl from 5 to 100 clients: at most 1.25 | 1.500" in verdicts
    assert "5 x 64: epsl, phi = 1, bf16 times as fast as deep-copy loop (c) | | not measured |" in verdicts


def test_a_verdict_at_its_limit_is_met() -> None:
    assert Verdict("x", 1.05, 1.05, at_most=True).line().endswith("| met |")
    assert Verdict("x", 1.05, 1.05, at_most=False).line().endswith("| met |")
    assert "not met" in Verdict("x", 1.06, 1.05, at_most=True).line()


def test_every_framework_is_measured() -> None:
    small = [setting for setting in all_settings() if setting.model == "cnn"]
    assert small
    assert all(set(names()) <= {subject.name for subject in setting.subjects} for setting in small)
    assert {setting.clients for setting in small} == {5, 20, 100}
    assert len({setting.title for setting in all_settings()}) == len(all_settings())
    assert len(quick_settings()) < len(all_settings())
