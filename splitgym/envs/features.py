"""What an observation is made of: named features, those of the package and one's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from splitgym.arrays import Floats
from splitgym.envs import cell_features, client_features, flight_features, placement_features, station_features
from splitgym.parts import Parts
from splitgym.scenario import Scenario, ScenarioError
from splitgym.types import RoundState, SystemParameters

STANDARD = "standard"
"""All features of the package that a scenario and an encoding of actions show."""


@dataclass(frozen=True)
class Feature:
    """A quantity that a policy sees, 0..1."""

    name: str
    per: Literal["client", "cell", "link", "placement"]
    """One number for each client, for the cell, for each client and subchannel, or for each placement."""
    text: str
    """What it is, with unit and reference."""
    of: Callable[[RoundState], Floats] | None = None
    """[N, C], [N], [N, C, M] or [N, K] values in the states of N worlds; None: of the package, computed with all others
    in one compiled loop."""
    from_labels: bool = False
    """Whether it comes from the clients' labels, which may be private."""

    def names(self, clients: int, subchannels: int, placements: int = 1) -> list[str]:
        """What stands at each of its indices."""
        if self.per == "cell":
            return [self.name]
        if self.per == "client":
            return [f"{self.name}[{i}]" for i in range(clients)]
        if self.per == "placement":
            return [f"{self.name}[{k}]" for k in range(placements)]
        return [f"{self.name}[{i},{k}]" for i in range(clients) for k in range(subchannels)]


SHIPPED = (
    Feature(
        "channel", "client", "spectral efficiency with p_max over the whole band, squashed at 4 bit/s/Hz; mean over k"
    ),
    Feature("compute", "client", "compute to spare, squashed at the geometric mean of slowest and fastest client"),
    Feature(
        "loss", "client", "training loss of the client's last mini-batch, squashed at ln(classes)", from_labels=True
    ),
    Feature("data_share", "client", "data share times C, squashed at 1"),
    Feature("available", "client", "1 if available, as announced before the last round"),
    Feature("took_part", "client", "1 if the client took part in the last round"),
    Feature("client_cut_layer", "client", "cut layer up to which the client's own part is valid, over L - 1"),
    Feature("absence", "client", "rounds since the client took part, or since the episode began, squashed at 4"),
    Feature("experience", "client", "rounds in which the client took part, squashed at 16"),
    Feature("diversity", "client", "effective number of the client's classes, 1 / sum p^2, over K", from_labels=True),
    Feature("novelty", "client", "novelty of the client's classes, squashed at 1", from_labels=True),
    Feature("accuracy", "cell", "test accuracy"),
    Feature("cut_layer", "cell", "cut layer of the last round that trained, over L - 1"),
    Feature("aggregation_ratio", "cell", "phi of the last round"),
    Feature("round_latency", "cell", "latency of the last round, squashed at time budget / round budget"),
    Feature("rounds_left", "cell", "fraction of the round budget that is left"),
    Feature("time_left", "cell", "fraction of the time budget that is left"),
    Feature("present", "client", "1 for clients that belong to the episode"),
    Feature("bandwidth", "cell", "bandwidth of a subchannel, squashed at the scenario's"),
    Feature("codec", "client", "codec with which the client took part last, its index over that of the last one"),
    Feature(
        "memory",
        "client",
        "deepest cut layer for which the client has the memory, over L - 1",
        client_features.memory,
    ),
    Feature(
        "batch_size",
        "client",
        "samples of the mini-batch with which the client took part last, over the largest that may be decided",
        client_features.batch_size,
    ),
    Feature(
        "data_left",
        "client",
        "samples that the client has not trained on yet since it last began with all of them, over all of them",
        client_features.data_left,
    ),
    Feature("client_second_cut", "client", "second cut behind which the client's own part is valid, over L - 1"),
    Feature("subchannel", "link", "channel of the client on the subchannel, squashed at 4 bit/s/Hz"),
)
"""In the order of the observation."""
FLIGHTS = (
    Feature(
        "in_flight",
        "client",
        "1 if the client is at work on a mini-batch that the server has not taken up, or has delivered it",
        flight_features.in_flight,
    ),
    Feature("delivered", "client", "1 if its smashed data wait at the server", flight_features.delivered),
    Feature(
        "compute_left",
        "client",
        "seconds of computing until it has delivered, or is back, squashed at time budget / round budget",
        flight_features.compute_left,
    ),
    Feature(
        "bits_left",
        "client",
        "bits to send until then, or to receive, over those of a whole mini-batch",
        flight_features.bits_left,
    ),
    Feature(
        "server_left",
        "cell",
        "seconds that the server still works on generated rows, squashed at time budget / round budget",
        flight_features.server_left,
    ),
)
"""With an asynchronous framework, before the last of the others."""
STATIONS = (
    Feature("station", "client", "index of the client's station over that of the last one", station_features.station),
    Feature(
        "interruption",
        "client",
        "seconds by which the client begins later after a handover, squashed at time budget / round budget",
        station_features.interruption,
    ),
    Feature(
        "wired",
        "client",
        "seconds of a bit over wires between station and server, squashed at those over the whole band at 4 bit/s/Hz",
        station_features.wired,
    ),
)
"""With several stations, likewise."""
INTERFERENCE = Feature(
    "interference",
    "client",
    "part of the interference in it and noise, uplink, at the client's station if all sent as in the last round",
    station_features.interference,
)
"""Where all of them use all subchannels, likewise."""
PLACEMENTS = (
    Feature("placement", "placement", "1 for the placement of the last round", placement_features.placement),
    Feature(
        "relocation",
        "placement",
        "seconds in which units would move to the nodes of the placement, squashed at time budget / round budget",
        placement_features.relocation,
    ),
    Feature(
        "behind_cut",
        "placement",
        "seconds of a round on its nodes and links, squashed at time budget / round budget",
        placement_features.behind_cut,
    ),
    Feature(
        "way",
        "placement",
        "seconds of a client's rows over wires to its first node and back, mean over available clients, likewise",
        placement_features.way,
    ),
)
"""Where placements are decided, likewise."""
TO_MEAN = Feature(
    "rounds_to_mean",
    "cell",
    "rounds until clients' parts are averaged, this one included, over the interval",
    cell_features.rounds_to_mean,
)
"""With a fed server that does not average in every round, likewise."""
SINCE_MEAN = Feature(
    "rounds_since_mean",
    "cell",
    "rounds since clients' parts were averaged, or since the episode began, squashed at 4",
    cell_features.rounds_since_mean,
)
"""Where decisions say when it does, in its place."""
ENERGY_LEFT = Feature(
    "energy_left",
    "cell",
    "fraction of the episode's energy budget that is left",
    cell_features.energy_left,
)
"""Where the scenario has an energy budget, likewise."""
INDEX = {feature.name: index for index, feature in enumerate(SHIPPED)}
FEATURES: Parts[Feature] = Parts(
    "Feature",
    lambda part: isinstance(part, Feature),
    {
        feature.name: feature
        for feature in (*SHIPPED, *FLIGHTS, *STATIONS, INTERFERENCE, *PLACEMENTS, TO_MEAN, SINCE_MEAN, ENERGY_LEFT)
    },
    ScenarioError,
)
"""All features."""


class ObservationSpace(spaces.Box):
    """Box(0, 1) of one world that says what stands at each index.

    Attributes:
        names: What stands at each index.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(0.0, 1.0, (len(names),), np.float32)
        self.names = tuple(names)


def features_of(
    asked: Any, scenario: Scenario, system: SystemParameters, subchannel_estimates: bool
) -> tuple[Feature, ...]:
    """The features that are asked for, each once, in that order.

    Args:
        asked: "standard"; or a sequence of that, names in `FEATURES`, `module:NAME` of one's own, and `Feature`.
        scenario: Says which features of the package there is something to see of.
        system: Likewise.
        subchannel_estimates: Whether "standard" shows every subchannel.

    Raises:
        ScenarioError: there is none (the message suggests the nearest), or it comes from labels that are private.
    """
    flies, roams = system.asynchrony is not None, len(system.stations) > 1
    hidden = {
        "present": scenario.family.clients is None,
        "bandwidth": scenario.family.subchannel_hz is None,
        "codec": len(scenario.plan.codecs) == 1,
        "memory": scenario.clients.memory_max_bytes is None,
        "batch_size": not system.program.plans.smallest_batch,
        "data_left": not system.program.plans.smallest_batch,
        "client_second_cut": not (system.program.plans.tails and system.program.plans.second_cuts > 1),
        "subchannel": not subchannel_estimates,
        "way": not roams,
        "server_left": system.asynchrony is None or system.asynchrony.row_cycles is None,
    }
    means = (SINCE_MEAN if system.averaging_decided else TO_MEAN,) if system.averages_later else ()
    groups = (
        (FLIGHTS, flies, "with an asynchronous framework"),
        (STATIONS, roams, "with several rows of stations"),
        ((INTERFERENCE,), system.stations_on_a_subchannel > 1, "with radio.frequency_reuse = 'universal'"),
        (PLACEMENTS, system.program.plans.placements > 1, "where placements are decided"),
        (means, True, ""),
        ((ENERGY_LEFT,), system.energy_budget_j is not None, "with budgets.energy_j"),
    )
    shown = (feature for group, is_there, _ in groups if is_there for feature in group)
    of_all = (*SHIPPED[:-1], *shown, SHIPPED[-1])
    seen = [feature for feature in of_all if system.labels_known or not feature.from_labels]
    standard = tuple(feature for feature in seen if not hidden.get(feature.name, False))
    chosen: dict[str, Feature] = {}
    for each in (asked,) if isinstance(asked, str | Feature) else tuple(asked):
        found = standard if isinstance(each, str) and each == STANDARD else (FEATURES.find(each, "observation"),)
        for feature in found:
            for group, is_there, where in groups:
                if feature in group and not is_there:
                    raise ScenarioError(f"observation: feature {feature.name!r}, allowed: {where}")
            if feature.name in chosen or (feature.name in INDEX and feature is not SHIPPED[INDEX[feature.name]]):
                raise ScenarioError(f"observation: feature {feature.name!r} is there twice, allowed: once")
            if feature.from_labels and not system.labels_known:
                raise ScenarioError(
                    f"observation: feature {feature.name!r} comes from labels, which are private here, allowed: "
                    "others, or knowledge.labels = 'reported'"
                )
            chosen[feature.name] = feature
    if not chosen:
        raise ScenarioError("observation = (), allowed: at least one feature")
    return tuple(chosen.values())
