"""A cell and the streams that it draws from, played as the environment plays them."""

import numpy as np

from splitgym.network import Network
from splitgym.random import Streams
from splitgym.scenario import Scenario


class Cells:
    """N worlds of a network, world i seeded with `first_seed` + i."""

    def __init__(self, scenario: Scenario, worlds: int = 1, first_seed: int = 0) -> None:
        self.network, self.streams = Network(scenario, worlds), Streams.empty(worlds)
        self.generators = [np.random.default_rng(first_seed + i) for i in range(worlds)]
        self.reset()

    def reset(self, which=None) -> None:
        """Next episodes in the worlds with these indices; None: in all."""
        which = np.arange(len(self.generators)) if which is None else np.array(which, dtype=np.int64)
        self.streams.begin_episodes(which, [self.generators[i] for i in which])
        self.network.reset(self.streams, which)

    def advance(self, elapsed_s=1.0) -> None:
        """To the next round, after one of that length in all worlds, or of these lengths."""
        number = self.streams.round
        number += 1
        self.network.advance(self.streams, np.broadcast_to(np.asarray(elapsed_s, float), number.shape).copy())

    def now(self, *names: str) -> list[np.ndarray]:
        """Copies of these arrays of the network, which the next round writes into."""
        return [getattr(self.network, name).copy() for name in names]
