"""Devices that were measured by hand."""

from pathlib import Path

import tomli_w

from splitgym import models

MLP = [8 * 8 * 32 + 32, 32 * 16 + 16, 16 * 10 + 10]
"""Weights of the units of `mlp` on digits."""


def written(
    path: Path,
    forward_s: list[float],
    backward_s: list[float],
    update_s: float = 0.0,
    batch_size: int = 8,
    **other: object,
) -> str:
    """Writes the file of a device with these seconds for each unit of `mlp`; returns its path."""
    units = [
        {
            "name": f"unit{number}",
            "forward_s": forward,
            "backward_s": backward,
            "update_s": update_s,
            "activation_bytes": 0.0,
            "weight_bytes": 4.0 * weights,
        }
        for number, (forward, backward, weights) in enumerate(zip(forward_s, backward_s, MLP, strict=True))
    ]
    whole = {"device": path.stem, "machine": "by hand", "network": "mlp", "threads": 1, "repeats": 1}
    path.write_text(tomli_w.dumps({**whole, "batch_size": batch_size, "units": units, **other}))
    return str(path)


def as_flops_say(path: Path, hz: float = 1e6) -> str:
    """The device of `toy`, which needs a cycle for a FLOP, as if it had been measured."""
    profile = models.measure("mlp", (1, 8, 8), 10, "7x7").profile
    return written(
        path, *(list(map(float, 8 * flops / hz)) for flops in (profile.forward_flops, profile.backward_flops))
    )
