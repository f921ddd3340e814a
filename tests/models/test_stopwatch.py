"""Measuring a device: what is timed is what happens in a unit, and the file says of what network."""

import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from splitgym import models
from splitgym.__main__ import main
from splitgym.models.network import CuttableNetwork
from splitgym.models.stopwatch import stopwatch
from splitgym.models.vgg import vgg19
from splitgym.scenario import build
from splitgym.scenario.devices import read_profile


class Sleeps(torch.autograd.Function):
    """Takes 20 ms forwards and 40 ms backwards."""

    @staticmethod
    def forward(ctx, x):
        time.sleep(0.02)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(0.04)
        return gradient


class Slow(nn.Module):
    def forward(self, x):
        return Sleeps.apply(x)


def test_seconds_stand_at_the_unit_that_took_them():
    units = {"one": nn.Flatten(), "two": Slow(), "three": nn.Linear(4, 2)}
    found = stopwatch(CuttableNetwork(units), (1, 2, 2), 3, repeats=2)
    one, two, three = found.units
    assert two.forward_s >= 0.02
    assert two.backward_s >= 0.04
    assert max(one.forward_s, one.backward_s, three.forward_s) < 0.02
    assert (one.backward_s, one.update_s, two.update_s) == (0.0, 0.0, 0.0)
    assert three.update_s > 0
    assert found.batch_size == 3


def test_bytes_are_those_of_the_network():
    network = models.build("cnn", (1, 8, 8), 10)
    found = stopwatch(network, (1, 8, 8), 5, repeats=1)
    assert [unit.name for unit in found.units] == ["conv1", "conv2", "fc", "head"]
    assert [unit.activation_bytes for unit in found.units] == [5 * 4 * each for each in (16 * 64, 32 * 16, 64, 10)]
    assert found.units[0].weight_bytes == 4 * (16 * 9 + 16)
    assert found.threads == torch.get_num_threads()


def test_the_command_writes_a_file_that_scenarios_read(tmp_path, capsys):
    file = tmp_path / "here.toml"
    threads = torch.get_num_threads()
    try:
        assert main(["profile", "--out", str(file), "--model", "mlp", "--repeats", "2", "--batch-size", "4"]) == 0
    finally:
        torch.set_num_threads(threads)
    profile = read_profile(str(file))
    assert (profile.network, profile.batch_size, profile.threads, profile.repeats) == ("mlp", 4, 1, 2)
    assert profile.seconds > 0
    assert build("toy", {"clients": {"profile": str(file)}}).clients.profile == (str(file),)
    assert "fc1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--repeats", "0"], "--repeats 0, allowed: 1..1000000"),
        (["--batch-size", "0"], "--batch-size 0, allowed"),
        (["--out", "x.csv"], "allowed: a name that ends in .toml"),
        (["--model", "cmn"], "did you mean 'cnn'?"),
        (["--device", "abacus"], "--device abacus"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, capsys, options, words):
    assert main(["profile", "--out", str(tmp_path / "x.toml"), "--repeats", "1", *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_vgg19_has_the_published_number_of_weights_and_sizes():
    """143,667,240 weights with 1000 classes; sizes as the padded poolings make them of 32 x 32 pixels."""
    with torch.device("meta"):
        network = vgg19((3, 32, 32), 10)
        x, sides = torch.zeros(2, 3, 32, 32), []
        for unit in network.units:
            x = unit(x)
            sides += [x.shape[2:]] if x.dim() == 4 else []
    assert sum(p.numel() for p in network.parameters()) == 143_667_240 - 990 * 4097
    assert len(network) == 25
    assert x.shape == (2, 10)
    assert [side[0] for name, side in zip(network.unit_names, sides, strict=False) if "pool" in name] == [
        17,
        9,
        5,
        3,
        2,
    ]


PUBLISHED = Path(os.environ.get("SPLITGYM_DATA", ".")) / "device_layer_profiles.csv"


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="needs device_layer_profiles.csv in SPLITGYM_DATA")
def test_vgg19_is_the_network_that_was_published():
    """Outputs of 128 rows and weights are as large as weighed, behind headers; but for the last two outputs."""
    device = read_profile("vgg19-cifar-laptop")
    with torch.device("meta"):
        network, x, outputs = vgg19((3, 32, 32), 10), torch.zeros(128, 3, 32, 32), []
        for unit in network.units:
            x = unit(x)
            outputs.append(4 * x.numel())
    headers = {round(unit.activation_bytes) - own for unit, own in zip(device.units[:-2], outputs, strict=False)}
    assert headers == {1606}
    weights = [4 * sum(p.numel() for p in unit.parameters()) for unit in network.units]
    headers = {(own > 0, unit.weight_bytes - own) for unit, own in zip(device.units, weights, strict=True)}
    assert all(1900 < header < 4096 for _, header in headers)
    assert {header for has_weights, header in headers if not has_weights} == {1926}
