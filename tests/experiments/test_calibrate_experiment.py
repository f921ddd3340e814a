"""The calibration of the surrogate: patterns, logs that are made once, replays, and the whole in its short form."""

import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import calibrate
from experiments.calibrate import network, patterns, variants
from experiments.calibrate.fit import start
from experiments.calibrate.jobs import jobs, patterns_of
from experiments.calibrate.logs import Job, Log, finished, run
from experiments.calibrate.network import network_section
from experiments.calibrate.replays import Replay
from experiments.calibrate.report import rounds_to, where
from splitgym.inputs import InputError
from splitgym.learning import Learner
from splitgym.learning.surrogate import calibration, calibration_for
from splitgym.learning.surrogate.calibration import CUTS_BY_CLIENT, FOLDER_VARIABLE
from splitgym.scenario import build

SHIPPED = sorted(Path(calibration.__file__).with_name("calibrations").glob("*.toml"))
ONE_CLASS = np.ones((4, 1), np.int64)
"""A sample of each client."""


def job(number: int = 3, pattern: str = "random_k", again: bool = False, steady: bool = False) -> Job:
    return Job(number, "toy", "epsl", pattern, (3, 3), (0.5, 0.5), 6, 2, None, steady, again)


@pytest.mark.parametrize("pattern", [*patterns_of("epsl"), *patterns_of("async-psl")])
def test_patterns_select_among_the_clients(pattern):
    rng = np.random.default_rng(0)
    select = pattern(patterns.Group(5, rng.uniform(0.1, 1, 5), rng.integers(1, 20, (5, 3))), rng)
    chosen = np.array([select(rng.random(5)) for _ in range(50)])
    assert chosen.shape == (50, 5)
    assert chosen.dtype == bool
    assert chosen.any()


def test_of_few_clients_numbers_are_uniform_of_many_log_uniform():
    rng = np.random.default_rng(0)
    few = np.bincount([patterns.number_between(2, 6, rng) for _ in range(5000)])
    np.testing.assert_allclose(few, [0, 0, 1000, 1000, 1000, 1000, 1000], atol=100)
    many = np.array([patterns.number_between(1, 127, rng) for _ in range(7000)])
    assert many.min() == 1
    assert many.max() > 100
    between = np.histogram(many, [1, 2, 4, 8, 16, 32, 64, 128])[0]
    np.testing.assert_allclose(between, 1000, atol=120)


def test_highest_loss_takes_those_of_the_highest_loss():
    rng = np.random.default_rng(4)
    select = patterns.highest_loss(patterns.Group(4, np.ones(4), ONE_CLASS[:4]), rng)
    chosen = select(np.array([0.1, 0.9, 0.3, 0.5]))
    assert np.array_equal(
        np.sort(np.array([0.1, 0.9, 0.3, 0.5])[chosen]), np.sort([0.9, 0.5, 0.3, 0.1][: chosen.sum()])
    )


def test_those_are_taken_up_who_come_first():
    """Clients that need 1, 3 and 7 seconds, in the order in which mini-batches come, counted by hand."""
    select = patterns.delivered(patterns.Group(3, np.array([7.0, 1.0, 3.0]), ONE_CLASS[:3]), np.random.default_rng(0))
    came = [int(np.flatnonzero(select(np.zeros(3))).item()) for _ in range(10)]
    # At 1, 2, 3, 3, 4, 5, 6, 6, 7, 7 s; of two at a time the one of the lower index.
    assert came == [1, 1, 1, 2, 1, 1, 1, 2, 0, 1]


def test_the_server_waits_no_longer_than_its_patience_unless_nobody_comes():
    group, rng = patterns.Group(3, np.array([0.05, 0.06, 50.0]), ONE_CLASS[:3]), np.random.default_rng(0)
    select = patterns.delivered_in_time(group, rng)
    chosen = np.array([select(np.zeros(3)) for _ in range(20)])
    assert chosen[:, :2].all()
    assert not chosen[:, 2].any()
    slow = patterns.delivered_in_time(patterns.Group(2, np.array([3.0, 70.0]), ONE_CLASS[:2]), rng)
    assert slow(np.zeros(2)).tolist() == [True, False]


def test_a_log_says_what_the_learner_did(tmp_path):
    run(job(), tmp_path)
    (log,) = finished(tmp_path)
    learner = Learner(build("toy", {"clients": {"count": 3}, "task": {"evaluation_samples": None}}), "epsl", 3)
    outcomes = [learner.round(decision) for decision in log.decisions()]
    np.testing.assert_array_equal(log.client_loss, [outcome.client_loss for outcome in outcomes])
    np.testing.assert_array_equal(log.evaluated, [1, 3, 5])
    np.testing.assert_allclose(log.accuracy, [outcome.accuracy for outcome in outcomes[1::2]])
    np.testing.assert_allclose(log.class_counts.sum(1) / log.class_counts.sum(), learner.data_share)


def test_steady_runs_hold_phi_at_zero_and_one_cut_layer(tmp_path):
    for number in range(6):
        run(job(number, steady=True), tmp_path)
    logs = finished(tmp_path)
    assert not any(log.aggregation_ratio.any() for log in logs)
    assert all(len(set(log.cut_layer.flat)) == 1 for log in logs)
    assert {int(log.cut_layer[0, 0]) for log in logs} > {1}


def test_what_is_logged_is_not_trained_again(tmp_path):
    run(job(), tmp_path)
    before = (tmp_path / "0003.npz").stat().st_mtime_ns
    run(job(again=True), tmp_path)
    assert (tmp_path / "0003.npz").stat().st_mtime_ns == before
    (first,), (second,) = finished(tmp_path), finished(tmp_path, again=True)
    np.testing.assert_array_equal(first.selected, second.selected)
    assert not np.array_equal(first.client_loss, second.client_loss)
    assert job(again=True).is_done(tmp_path)
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize(
    ("field", "other"), [("rounds", 7), ("framework", "psl"), ("scenario", "iot"), ("clients", (2, 2))]
)
def test_a_log_of_another_run_is_not_taken_for_this_one(tmp_path, field, other):
    run(job(), tmp_path)
    with pytest.raises(InputError, match=f"0003.npz is the log of another run .*{field}"):
        replace(job(), **{field: other}).is_done(tmp_path)


def test_a_log_of_the_same_file_with_other_settings_is_not_taken_for_this_one(tmp_path):
    file = tmp_path / "mine.toml"
    mine = replace(job(), scenario=str(file))
    file.write_text(build("toy").to_toml(), encoding="utf-8")
    run(mine, tmp_path)
    assert mine.is_done(tmp_path)
    file.write_text(build("toy", {"training": {"batch_size": 5}}).to_toml(), encoding="utf-8")
    with pytest.raises(InputError, match=r"another run .*'batch_size': 5"):
        mine.is_done(tmp_path)


def test_class_counts_are_those_of_the_learner():
    learner = Learner("iot", "epsl", 5)
    counts, test_counts = learner.class_counts, learner.evaluator.class_counts
    np.testing.assert_allclose(counts.sum(1) / counts.sum(), learner.data_share)
    assert test_counts.sum() == len(learner.evaluator)


def small_log(clients: int, number: int) -> Log:
    rng = np.random.default_rng(number)
    return Log(
        job={"number": number, "pattern": "random_k", "clients": clients, "dirichlet_alpha": 0.5},
        class_counts=rng.integers(1, 20, (clients, 10)),
        test_counts=np.full(10, 5),
        cut_layer=np.full((6, clients), 2),
        selected=rng.random((6, clients)) < 0.7,
        aggregation_ratio=np.full(6, 0.5),
        client_loss=np.ones((6, clients)),
        evaluated=np.array([1, 3, 5]),
        correct=rng.integers(0, 5, (3, clients, 10)),
    )


def test_a_log_is_saved_whatever_was_asked_of_it(tmp_path):
    log = small_log(3, 1)
    asked = log.accuracy
    log.save(tmp_path / "0001.npz")
    read = Log.load(tmp_path / "0001.npz")
    np.testing.assert_array_equal(read.accuracy, asked)
    assert read.job == log.job


def test_a_run_is_replayed_alike_beside_larger_ones():
    logs = [small_log(3, 0), small_log(5, 1)]
    together, alone = Replay(logs, 2, 8), Replay(logs[:1], 2, 8)
    numbers = start(10)
    np.testing.assert_allclose(together.play(numbers).recall[0, :, :3], alone.play(numbers).recall[0], rtol=1e-12)
    np.testing.assert_allclose(together.accuracy[0], logs[0].accuracy)


def test_rounds_to_a_target_are_interpolated():
    rounds = np.array([5, 10, 15])
    assert rounds_to(np.array([0.2, 0.4, 0.8]), rounds, 0.6) == pytest.approx(12.5)
    assert rounds_to(np.array([0.7, 0.4, 0.8]), rounds, 0.6) == 5
    assert rounds_to(np.array([0.2, 0.4, 0.5]), rounds, 0.6) == np.inf


def test_kinds_of_runs_have_no_row_for_what_no_range_holds():
    run = {"pattern": "unified", "cut_layer": "1", "aggregation_ratio": 0.0, "participants": 2, "clients": 4}
    rows = pd.DataFrame([{**run, "dirichlet_alpha": alpha, "error": 0.1, "bias": 0.0} for alpha in (0.5, 1000.0)])
    assert "nan" not in where(rows)
    assert "| dirichlet_alpha | (0.35, 0.6] | 1 | 0.100 | +0.000 |" in where(rows)


def test_jobs_are_of_all_patterns_and_some_are_trained_twice():
    made = jobs(
        "iot",
        build("iot"),
        "epsl",
        runs=30,
        steady_runs=10,
        clients=(4, 14),
        dirichlet_alpha=(0.1, 1.0),
        rounds=10,
        evaluate_every=5,
        evaluation_samples=None,
    )
    assert {each.pattern for each in made} == {pattern.__name__ for pattern in patterns_of("epsl")}
    twice = [each.pattern for each in made if each.again]
    assert len(twice) == len(set(twice)) == 3
    assert [each.steady for each in made] == [False] * 30 + [True] * 10


def test_the_short_form_makes_a_calibration_that_is_found(tmp_path, monkeypatch):
    folders = [part for name in ("logs", "calibrations", "out") for part in (f"--{name}", str(tmp_path / name))]
    scenario = build("toy", {"name": "small", "training": {"batch_size": 6}})
    (tmp_path / "small.toml").write_text(scenario.to_toml(), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["x", "--scenario", str(tmp_path / "small.toml"), "--quick", *folders])
    calibrate.main()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "calibrations"))
    found = calibration_for(scenario, "psl")
    assert found.provenance["runs"] == 28
    assert found.clients == (2, 6)
    assert found.network_costs.profile.model_bits.tolist() == [32 * (64 * 32 + 32), 32 * (32 * 16 + 16), 32 * 170]
    assert not found.network_costs.has_batch_norm
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv", ".md", ".png", ".pdf", ".json"}


def test_runs_in_variants_differ_in_that_alone(tmp_path):
    plain, coded, apart = (
        variants.VariantJob(100_003, "toy", "epsl", "random_k", (3, 3), (0.5, 0.5), 6, 2, None, False, False, variant)
        for variant in (variants.NONE, "fp16", CUTS_BY_CLIENT)
    )
    logs = {}
    for each in (plain, coded, apart):
        run(each, tmp_path)
        logs[each.variant] = Log.load(tmp_path / each.file_name)
    for log in logs.values():
        np.testing.assert_array_equal(log.class_counts, logs[variants.NONE].class_counts)
    np.testing.assert_array_equal(logs["fp16"].cut_layer, logs[variants.NONE].cut_layer)
    np.testing.assert_allclose(logs["fp16"].client_loss, logs[variants.NONE].client_loss, rtol=0.01)
    assert (logs["fp16"].client_loss != logs[variants.NONE].client_loss).any()
    assert (logs[CUTS_BY_CLIENT].cut_layer != logs[CUTS_BY_CLIENT].cut_layer[:, :1]).any()
    assert not logs[CUTS_BY_CLIENT].aggregation_ratio.any()


def test_a_variant_is_covered_if_the_surrogate_is_hardly_further_off(tmp_path):
    """Ten runs: errors of 0.05; 0.005 more in one variant, 0.02 more in another."""
    rng = np.random.default_rng(0)
    errors = 0.05 + 0.01 * rng.standard_normal(10)
    rows = pd.DataFrame(
        {"variant": variant, "number": number, "accuracy": 0.6, "error": error + more}
        for variant, more in ((variants.NONE, 0.0), ("fp16", 0.005), (CUTS_BY_CLIENT, 0.02))
        for number, error in enumerate(errors)
    )
    assert variants.covered(rows) == ["fp16"]
    assert variants.further_off(rows, "error", CUTS_BY_CLIENT).value == pytest.approx(0.02)
    path = tmp_path / "toy.toml"
    path.write_text(next(file for file in SHIPPED if file.stem == "toy-epsl").read_text(encoding="utf-8"))
    variants.note(path, variants.covered(rows))
    noted, before = (tomllib.loads(file.read_text()) for file in (path, SHIPPED[-1]))
    assert noted == {**before, "codecs": ["none", "fp16"], "cuts_by_client": False}


def test_of_a_network_of_ones_own_which_may_change_no_costs_are_kept():
    assert network_section(build("toy", {"task": {"model": "my_networks:small"}}).task) == {}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_costs_are_counted_again_and_nothing_else_changes(file, tmp_path, monkeypatch):
    text = file.read_text(encoding="utf-8")
    costs = text[text.index("[network]") : text.index("[parameters]")]
    older = tmp_path / "older.toml"
    older.write_text(text.replace(costs, "[network]\nmodel_bits = [1, 2]\n\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["x", str(older)])
    network.main()
    assert older.read_text(encoding="utf-8") == text


def test_what_is_no_calibration_stays_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "toy.toml").write_text(build("toy").to_toml(), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "toy.toml")])
    with pytest.raises(InputError, match=r"calibration '.*toy\.toml' is broken: unknown field 'name'"):
        network.main()
    assert (tmp_path / "toy.toml").read_text(encoding="utf-8") == build("toy").to_toml()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "3"], "--runs 3, allowed: 15 to 10000"),
        (["--clients", "9", "3"], "--clients 9 3, allowed: the least, then the most, of 1 to 100000"),
        (["--dirichlet-alpha", "1", "0.1"], "--dirichlet-alpha 1.0 0.1, allowed: the least, then the most"),
        (["--dirichlet-alpha", "nan", "1"], "--dirichlet-alpha nan 1.0, allowed"),
        (["--evaluation-samples", "0"], "--evaluation-samples 0, allowed: 1 to 1000000000"),
        (["--workers", "0"], "--workers 0, allowed: 1.."),
        (["--runs", "x"], "Error parsing --runs: .* 'x'; --help says what is allowed"),
        (["--evaluate-every", "300"], "--evaluate-every 300, allowed: 1 to 200"),
        (["--framework", "fl"], "--framework 'fl', allowed: epsl, psl, psl-drop, async-psl"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments, message, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", *arguments])
    with pytest.raises(ValueError, match=message):
        calibrate.main()
