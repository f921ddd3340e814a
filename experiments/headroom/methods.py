"""What is compared on each preset: rules with their options, beside the oracle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from splitgym.scenario import build

Preset = Literal["iot", "bandwidth-limited", "toy", "epsl", "edge6g"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
REAL = ("epsl", "edge6g")
"""ResNet-18 on HAM10000, half a second a round: fewer methods, a lower target."""

_WHOLE_TEST_SET = {"task": {"evaluation_samples": None}}
_SPARSE = {"task": {"evaluation_samples": None, "evaluate_every": 5}}
_BF16 = {"training": {"precision": "bf16"}}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "iot": _WHOLE_TEST_SET,
    # The preset's 0.9 is out of reach: clients that keep their own models stop at about 0.7 there.
    "bandwidth-limited": {**_SPARSE, "episode": {"target_accuracy": 0.65, "time_budget_s": 30.0}},
    "toy": _WHOLE_TEST_SET,
    # Their 0.75 takes hours of training.
    "epsl": {**_BF16, "episode": {"target_accuracy": 0.68, "time_budget_s": 30.0}},
    "edge6g": {**_BF16, "episode": {"target_accuracy": 0.68, "time_budget_s": 150.0}},
}
"""In which the environments differ from their presets."""

ORACLE = "look-ahead"
"""What names of oracles begin with."""


@dataclass(frozen=True)
class Method:
    """A scheduler as it is run here."""

    agent: str
    """As `agents.parse` reads it."""
    aggregation_ratio: float | None = None
    """phi; None: the scenario's."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """More options of the agent, which its text cannot say."""
    levels: tuple[float, ...] = (0.0, 0.5)
    """Values of phi that an oracle tries."""

    @property
    def name(self) -> str:
        """As tables show it."""
        plain = self.is_oracle or self.aggregation_ratio is None
        return self.agent if plain else f"{self.agent} phi={self.aggregation_ratio:g}"

    @property
    def is_oracle(self) -> bool:
        """Whether it sees the future."""
        return self.agent.startswith(ORACLE)


def methods(preset: str) -> tuple[Method, ...]:
    """All methods of a preset."""
    return tuple(_real(preset) if preset in REAL else _small(preset))


def _small(preset: str) -> Iterator[Method]:
    scenario = build(preset)
    clients, phi = scenario.clients.count, scenario.training.aggregation_ratio
    few, half, most = (max(1, round(share * clients)) for share in (0.25, 0.5, 0.75))
    for name in ("fixed", "random", "two-timescale"):
        yield Method(name)
    for ratio in (0.0, 0.5, 1.0):
        yield Method("greedy", ratio)
    for rule in ("random-k", "round-robin-k"):
        yield Method(f"{rule}:k={half}", 0.0)
    for rule in ("fastest-k", "highest-loss-k", "loss-per-second-k"):
        for k in sorted({few, half, most} - {clients}):
            yield Method(f"{rule}:k={k}", 0.0)
    for w in (0, 0.5, 1):
        yield Method(f"unified:w={w}", 0.0)
    if phi != 0:
        for agent in (f"fastest-k:k={half}", f"loss-per-second-k:k={half}", "unified:w=0.5"):
            yield Method(agent, phi)
    if SETTINGS[preset] is _WHOLE_TEST_SET:
        yield Method("look-ahead:horizon=1", 0.0)  # which has to measure every round
    yield Method("look-ahead:horizon=10", 0.0)
    yield Method("look-ahead:horizon=25,until=target", 0.0)


def _real(preset: str) -> Iterator[Method]:
    candidates = ("fastest-k:k=3", "greedy")
    for agent in candidates:
        yield Method(agent, 0.0)
    yield Method("look-ahead:horizon=20,until=target", 0.0, {"candidates": "+".join(candidates)}, (0.0,))
    yield Method("greedy", build(preset).training.aggregation_ratio)
