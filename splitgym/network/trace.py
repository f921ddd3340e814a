"""Channel gains of one's own, measured or from another simulator, in the place of those that the cell draws."""

from pathlib import Path

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.files import read_arrays
from splitgym.inputs import reading
from splitgym.random import Streams
from splitgym.scenario import Scenario, ScenarioError

LEAST_GAIN, MOST_GAIN = 1e-60, 1e12
"""Those of the cell's own models are between them, whatever the scenario; beyond, what a round takes is no number."""


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
        if gains.dtype.kind != "f":
            raise ScenarioError(f"{name}: gains are {gains.dtype}, allowed: floats")
        wrong = np.argwhere(~((gains >= LEAST_GAIN) & (gains <= MOST_GAIN)))
        if wrong.size:
            at = tuple(wrong[0].tolist())
            raise ScenarioError(f"{name}: gains{list(at)} = {gains[at]:g}, allowed: {LEAST_GAIN:g} to {MOST_GAIN:g}")
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
