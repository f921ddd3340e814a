"""The wired ways from base stations to the servers that may be the first on a client's way."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.scenario import Route, Routes, Scenario, links_of
from splitgym.scenario.nodes import SERVER


class Ways(NamedTuple):
    """From each of S stations to each of F servers, over some of E links; without rows of stations E = 0."""

    s_per_bit: Floats
    """[E] seconds that a bit needs on a link that nobody shares."""
    uses: Bools
    """[S, F, E] whether the link is on the way."""
    delay_s: Floats
    """[S, F] seconds that whatever is sent needs beside those."""
    links: Floats
    """[S, F] number of links on the way."""

    @classmethod
    def of(cls, scenario: Scenario, servers: Sequence[str] = (SERVER,)) -> Self:
        """Those of a scenario to these nodes."""
        stations = [row.name for row in scenario.stations]
        if not stations:
            nothing = np.zeros((1, len(servers)))
            return cls(np.zeros(0), np.zeros((1, len(servers), 0), bool), nothing, nothing)
        routes, rates = Routes.of(scenario), {link.name: link.bits_per_s for link in links_of(scenario)}
        ways: list[list[Route]] = [[routes.between(one, other) for other in servers] for one in stations]
        used = sorted({name for row in ways for way in row for name in way.links})
        uses = np.array([[[name in way.links for name in used] for way in row] for row in ways], bool)
        return cls(
            1 / np.array([rates[name] for name in used], float),
            uses.reshape(len(stations), len(servers), len(used)),
            np.array([[way.delay_s for way in row] for row in ways]),
            uses.sum(-1).astype(np.float64).reshape(len(stations), len(servers)),
        )

    def to(self, server: int) -> Self:
        """To one of the servers alone."""
        one = slice(server, server + 1)
        return type(self)(
            self.s_per_bit, self.uses[:, one].copy(), self.delay_s[:, one].copy(), self.links[:, one].copy()
        )


BESIDE_THE_SERVER = Ways(np.zeros(0), np.zeros((1, 1, 0), bool), np.zeros((1, 1)), np.zeros((1, 1)))
"""One station at the place of the one server."""


@kernel(INLINED)
def fill_shared(ways: Ways, station: Ints, present: Bools, s_per_bit: Floats) -> None:
    """Seconds that a bit of each client needs, [C, F], if the clients that are present share each link evenly.

    Args:
        ways: Of the scenario.
        station: [C].
        present: [C].
        s_per_bit: [C, F], filled.
    """
    for f in range(s_per_bit.shape[1]):
        for i in range(station.shape[0]):
            s_per_bit[i, f] = 0.0
        for e in range(ways.s_per_bit.shape[0]):
            sharing = 0
            for i in range(station.shape[0]):
                sharing += present[i] and ways.uses[station[i], f, e]
            for i in range(station.shape[0]):
                if ways.uses[station[i], f, e]:
                    # Who is not present would not share it with others.
                    s_per_bit[i, f] += ways.s_per_bit[e] * max(sharing, 1)
