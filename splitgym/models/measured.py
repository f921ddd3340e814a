"""Seconds of a measured device as the costs of a network."""

from dataclasses import replace

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.models.costs import Profile
from splitgym.scenario import ScenarioError
from splitgym.scenario.devices import DeviceProfile

MOST_APART_BYTES = 4096
"""Weights of a unit may differ by so much from the network's: files in which they were weighed have headers."""


def on_device(
    profile: Profile, device: DeviceProfile, hz: float, cycles_per_flop: float, field: str = "clients.profile"
) -> Profile:
    """The network with as many FLOPs in each unit as make the seconds that the device took for it.

    What is sent stays as it is. FLOPs of a sample, at cycles/FLOP kappa and speed f: f s / kappa, for s seconds; of the
    backward pass with the step of the optimiser, which a mini-batch of another size thereby has in proportion. Units
    that were measured in groups share the seconds of their group by FLOPs.

    Args:
        profile: Of the network, [L].
        device: With as many units.
        hz: The device's speed f, cycles/s.
        cycles_per_flop: kappa of clients or server.
        field: What named the device, for messages.

    Raises:
        ScenarioError: the device was measured on another network.
    """
    named = f"{field}: device {device.device!r} was measured on {device.network!r}"
    if len(device.units) != len(profile):
        raise ScenarioError(f"{named} with {len(device.units)} units, allowed: the {len(profile)} of task.model")
    weighed = np.array([unit.weight_bytes for unit in device.units])
    # The last unit depends on the number of classes.
    apart = np.abs(weighed - profile.model_bits / 8)[:-1]
    if np.any(apart > MOST_APART_BYTES):
        unit = int(np.argmax(apart))
        raise ScenarioError(
            f"{named}, whose unit {unit + 1} has weights of {weighed[unit]:g} bytes, allowed: "
            f"{profile.model_bits[unit] / 8:g}, those of task.model"
        )
    to_flops, flops = hz / cycles_per_flop, profile.forward_flops + profile.backward_flops
    unmeasured = (flops > 0) & (device.forward_s + device.backward_s == 0)
    forward_s, backward_s = (_spread(each, unmeasured, flops) for each in (device.forward_s, device.backward_s))
    return replace(profile, forward_flops=forward_s * to_flops, backward_flops=backward_s * to_flops)


def _spread(seconds: Floats, unmeasured: Bools, flops: Floats) -> Floats:
    """Seconds of units that were measured in groups: all of a group's stand at its last one, and are shared by FLOPs.

    Args:
        seconds: [L].
        unmeasured: [L] units that have work but no seconds; they belong to the group of the next one that has, or at
            the end of the network to the last such group.
        flops: [L].
    """
    if not unmeasured.any():
        return seconds
    measured = np.flatnonzero(~unmeasured & (flops > 0))
    group = np.minimum(np.searchsorted(measured, np.arange(len(seconds))), len(measured) - 1)
    spread = seconds.copy()
    for number in np.unique(group[unmeasured]):
        members = (group == number) & (flops > 0)
        spread[members] = seconds[members].sum() * flops[members] / flops[members].sum()
    return spread
