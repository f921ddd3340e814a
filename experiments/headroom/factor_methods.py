"""Schedulers with fixed values of a decision, and those that decide it, for the presets that open one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ALGORITHM = "ppo-equivariant"
UNTRAINED = "untrained"
INDEX = "index"
FIXED, RULE, LEARNED, TUNED = "fixed value", "decided by rule", "learned", "tuned index"
KINDS = (FIXED, RULE, f"{UNTRAINED}, decided", f"{LEARNED}, fixed value", f"{LEARNED}, decided", TUNED)


@dataclass(frozen=True)
class Method:
    """A scheduler as it is run here."""

    kind: str
    """One of `KINDS`; what is `TUNED` is so for the preset with these sections."""
    agent: str
    """As `agents.parse` reads it, or `ALGORITHM`."""
    value: str = ""
    """Of the decision, in words, where it is fixed in the scenario."""
    sections: Mapping[str, Any] = field(default_factory=dict)
    """Of the scenario, beside the preset's."""

    @property
    def name(self) -> str:
        """As tables show it."""
        return ", ".join(part for part in (self.agent.replace(",", ", "), self.value) if part)


def stragglers() -> Iterator[Method]:
    """K, the mini-batches that an update waits for."""
    shares = "allocation=proportional-fair"
    opened = {"plan": {"quorum": "decided"}}
    for quorum in (1, 2, 5):
        fixed = {"training": {"quorum": quorum}}
        for rule in ("proportional-fair", f"fastest-k:k=7,{shares}", f"unified:{shares}"):
            yield Method(FIXED, rule, f"K = {quorum}", fixed)
        if quorum == 1:
            yield Method(KINDS[3], ALGORITHM, f"K = {quorum}", fixed)
            yield Method(TUNED, INDEX, f"K = {quorum}", fixed)
    yield Method(KINDS[2], ALGORITHM, "", opened)
    yield Method(KINDS[4], ALGORITHM, "", opened)


def wearables() -> Iterator[Method]:
    """The cut layer of each client, where memories differ."""
    opened = {"plan": {"cut_layer": "by-client"}}
    for cut in (1, 2):
        for rule in (f"greedy:cut_layer={cut}", f"unified:cut_layer={cut}"):
            yield Method(FIXED, rule)
    for clients in (2, 3, 4, 6):
        yield Method(FIXED, f"fastest-k:k={clients},cut_layer=1")
    yield Method(RULE, "unified", "common")
    for rule in ("exact-cuts", "unified:allocation=exact-cuts"):
        yield Method(RULE, rule, "by client", opened)
    yield Method(TUNED, INDEX, "common cut")
    yield Method(KINDS[3], ALGORITHM, "common cut", {})
    yield Method(KINDS[2], ALGORITHM, "", opened)
    yield Method(KINDS[4], ALGORITHM, "", opened)


def narrowband() -> Iterator[Method]:
    """The codec of each client, where the link decides how long a round takes."""
    for cut in (1, 2):
        for codec in ("none", "uniform-4", "uniform-2", "top-k:0.1"):
            yield Method(FIXED, f"greedy:codec={codec},cut_layer={cut}")
        yield Method(FIXED, f"unified:codec=uniform-2,cut_layer={cut}")
    yield Method(FIXED, "unified:codec=uniform-4,cut_layer=1")
    one_codec = {"plan": {"codecs": ("uniform-2",)}}
    yield Method(KINDS[3], ALGORITHM, "uniform-2", one_codec)
    opened = {"plan": {"codec": "by-client"}}
    yield Method(KINDS[2], ALGORITHM, "", opened)
    yield Method(KINDS[4], ALGORITHM, "", opened)


def placements() -> Iterator[Method]:
    """Which nodes train the units behind the cut."""
    at_server = {"plan": {"placement": "fixed"}, "placement": {"candidates": ({"nodes": ("server",)},)}}
    for rule in ("greedy", "unified"):
        yield Method(FIXED, rule, "server", at_server)
        yield Method(FIXED, f"{rule}:placement=stays")
        yield Method(RULE, f"{rule}:placement=best")
        yield Method(RULE, f"{rule}:placement=threshold")
    yield Method(TUNED, f"{INDEX}:placement=best")
    yield Method(KINDS[3], ALGORITHM, "server", at_server)
    yield Method(KINDS[2], ALGORITHM)
    yield Method(KINDS[4], ALGORITHM)


@dataclass(frozen=True)
class Setting:
    """What is compared on a preset."""

    framework: str
    methods: Callable[[], Iterator[Method]]
    episode: Mapping[str, Any] = field(default_factory=dict)
    """Its section; rewards are told best apart where a budget is not far from what schedulers need."""
    learner: str = "surrogate"
    """What a policy learns on."""
    searched: Mapping[str, Any] = field(default_factory=dict)
    """Sections, beside the preset's, with which the index is searched, for all methods that use one."""
    by_default: bool = True
    """Whether it is run unless others are asked for."""


PRESETS: Mapping[str, Setting] = {
    "stragglers": Setting(
        "async-psl",
        stragglers,
        {"time_budget_s": 300.0, "max_rounds": 600},
        searched={"training": {"quorum": 1}},
    ),
    "wearables": Setting("psl", wearables),
    # No surrogate knows what its codecs cost in accuracy.
    "narrowband": Setting("psl", narrowband, learner="train", by_default=False),
    "highway": Setting("multi-hop", placements, by_default=False),
    "campus": Setting("multi-hop", placements, by_default=False),
    "mesh": Setting("multi-hop", placements, by_default=False),
}
