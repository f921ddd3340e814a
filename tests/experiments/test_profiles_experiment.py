"""FLOPs against measured seconds: both rounds are timed on the seconds, and totals of the devices are right."""

import csv

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments import profiles
from splitgym import models
from splitgym.models import Profile
from splitgym.scenario import build
from splitgym.scenario.devices import devices_of

DEVICES = ("d1", "laptop", "VM", "jetson-gpu")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The experiment on `cnn`, with devices whose measured seconds are made up: d1 is slow in the first unit alone."""
    monkeypatch.setenv("SPLITGYM_DATA", str(tmp_path))
    costs = models.measure("cnn", (1, 8, 8), 10, "7x7").profile
    flops = costs.forward_flops + costs.backward_flops
    with (tmp_path / "device_layer_profiles.csv").open("w", newline="") as file:
        table = csv.writer(file)
        heads = (
            "model",
            "dataset",
            "device",
            "layer",
            "forward_ms",
            "backward_ms",
            "update_ms",
            "activation_kb",
            "weight_kb",
        )
        table.writerow(heads)
        for device in DEVICES:
            for unit in range(4):
                exact = 128 * flops[unit] / 1e6
                forward_ms = exact + (50.0 if device == "d1" and unit == 0 else 0.0)
                weight_kb = costs.model_bits[unit] / 8192
                table.writerow(["vgg19", "cifar", device, unit, forward_ms, 0.0, 0.0, 0, weight_kb])
    changed = {"task": {"model": "cnn", "dataset": "digits"}, "radio": {"subchannels": 6}}

    def built(source, parts=None):
        scenario = build(source, parts)
        return build(scenario, changed) if scenario.task.model == "vgg19" else scenario

    monkeypatch.setattr(profiles, "build", built)


@pytest.mark.usefixtures("small")
def test_devices_that_need_what_flops_say_lose_nothing():
    rows = profiles.measure({"devices": "laptops", "subchannel_hz": 1e6, "cells": 2}, 0)
    assert len(rows) == 2 * 3
    for row in rows:
        assert row["flops_s"] == pytest.approx(row["measured_s"], rel=1e-9)
        assert row["expected_s"] == pytest.approx(row["flops_s"], rel=1e-9)


@pytest.mark.usefixtures("small")
def test_the_total_of_every_device_is_the_same_in_flops():
    scenario = build(profiles.build("boards"), {"clients": {"profile": profiles.CLIENTS["d1, laptop, VM"]}})
    counted = profiles.by_flops(scenario).clients
    costs: Profile = profiles.network()
    devices = devices_of(scenario.clients)
    flops = costs.forward_flops.sum() + costs.backward_flops.sum()
    for client, hz in enumerate(devices.client_hz):
        seconds = devices.profiles[devices.device[client]].seconds
        assert counted.cycles_per_flop * flops / hz == pytest.approx(seconds)


@pytest.mark.usefixtures("small")
def test_part_of_the_time_in_the_wrong_units():
    """50 ms of d1 are measured in the first unit; FLOPs spread them over all units."""
    table = profiles.units()
    flops = table.loc[table["device"] == "laptop", "measured_ms"].to_numpy()
    share = flops / flops.sum()
    wrong = (1 - share[0]) * (50 / 128) / (flops.sum() + 50 / 128)
    own = table[table["device"] == "d1"]
    assert 0.5 * np.abs(own["measured_ms"] - own["flops_ms"]).sum() / own["measured_ms"].sum() == pytest.approx(wrong)


def test_report_and_plots_say_what_rows_say(monkeypatch):
    units = pd.DataFrame(
        {"device": "d1", "unit": np.arange(1, 26), "measured_ms": np.ones(25), "flops_ms": [25.0, *[0.0] * 24]}
    )
    monkeypatch.setattr(profiles, "units", lambda: units)
    rows = pd.DataFrame(
        [
            {
                "devices": devices,
                "subchannel_hz": hz,
                "seed": seed,
                "cell": seed,
                "rule": rule,
                "cut_flops": 3.0,
                "cut_measured": 6.0 if devices == "d1" else 3.0,
                "expected_s": 1.0,
                "flops_s": 3.0 if devices == "d1" else 2.0,
                "measured_s": 2.0,
            }
            for devices in profiles.CLIENTS
            for hz in profiles.SUBCHANNELS_HZ
            for seed in (0, 1)
            for rule in profiles.RULES
        ]
    )
    text = profiles.report(rows)
    assert "FLOPs cut 25 % elsewhere" in text
    assert "rounds are 12.5 % longer, in the median 0.0 %" in text
    assert "| d1 | 1 | descent | 3.0 | 6.0 | 3.00 ± 0.00 | 2.00 ± 0.00 | 50.0 ± 0.0 | -66.7 ± 0.0 |" in text
    assert "| d1 | 25.0 | 96 | 25.00 | 12.50 |" in text
    for plot in profiles.EXPERIMENT.plots.values():
        figure = Figure()
        plot(rows, figure)
        assert figure.axes
