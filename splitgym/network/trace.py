"""Channel gains of one's own, measured or from another simulator, in the place of those that the cell draws."""

from pathlib import Path

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.files import read_arrays
from splitgym.inputs import reading
from splitgym.random import Streams
from splitgym.scenario import Scenario, ScenarioError


class Trace:
    """The gains of a file.

    Args:
        gains: [E, R, C, M] linear power gains, antenna gains included.
    """

    def __init__(self, gains: Floats) -> None:
        self._gains = gains

    @classmethod
    def of(cls, scenario: Scenario) -> "Trace | None":
        """The trace that a scenario names; None: it names none.

        Raises:
            ScenarioError: the file cannot be read, or does not fit the scenario.
        """
        if scenario.radio.trace is None:
            return None
        name = f"radio.trace = {scenario.radio.trace!r}"
        with reading(name, ScenarioError):
            arrays = read_arrays(Path(scenario.radio.trace))
            gains = np.asarray(arrays["gains"])
        clients, subchannels = scenario.clients.count, scenario.radio.subchannels
        if gains.ndim not in (3, 4) or not gains.size or gains.shape[-2:] != (clients, subchannels):
            raise ScenarioError(
                f"{name}: gains have shape {gains.shape}, allowed: [rounds, {clients}, {subchannels}] or [episodes, "
                f"rounds, {clients}, {subchannels}], as clients.count and radio.subchannels say"
            )
        if gains.dtype.kind != "f" or not (np.isfinite(gains) & (gains > 0)).all():
            raise ScenarioError(f"{name}: gains are {gains.dtype}, allowed: finite floats above 0")
        return cls(np.ascontiguousarray(gains.reshape(-1, *gains.shape[-3:]), np.float64))

    def fill(self, streams: Streams, which: Ints, channel_gain: Floats) -> None:
        """Writes the gains of the round in some worlds.

        An episode has the trace whose index is its key modulo E, from the first round on; after the last one it begins
        again.

        Args:
            streams: Of N worlds.
            which: [W] indices of worlds.
            channel_gain: [N, C, M], written in these.
        """
        episodes, rounds = self._gains.shape[:2]
        episode = (streams.key[which] % np.uint64(episodes)).astype(np.int64)
        channel_gain[which] = self._gains[episode, streams.round[which] % rounds]
