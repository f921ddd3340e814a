"""When an episode ends, and what it draws for itself."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from splitgym.scenario.quantities import Factor, Hertz, Joules, Metres, NodeCount, Rounds, Seconds
from splitgym.scenario.section import Section


class Episode(Section):
    """When an episode ends."""

    target_accuracy: float = Field(0.8, gt=0, le=1, description="Test accuracy that ends the episode (termination).")
    stop_at_target: bool = Field(True, description="False: go on after the target, until a budget is spent.")
    max_rounds: Rounds = Field(400, description="Budget of rounds (truncation).")
    time_budget_s: Seconds = Field(600.0, description="Budget of simulated time, s (truncation).")
    round_timeout_s: Seconds = Field(
        60.0,
        description="Clients that have not finished the uplink by then, counted from the start of the round (of their "
        "slot, in frameworks with slots), are dropped, s.",
    )


class Budgets(Section):
    """What a scheduler should keep to; what goes beyond is a cost, apart from the reward (`info["costs"]`)."""

    energy_j: Joules | None = Field(
        None, description="What clients and servers may spend in an episode, J; absent: there is no limit."
    )
    deadline_s: Seconds | None = Field(None, description="What a round may take, s; absent: there is no limit.")
    leak_by_cut: tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...] = Field(
        (),
        max_length=1000,
        description="How much of the data smashed data give away at each cut layer, in a unit of one's own, such as "
        "what `python -m experiments privacy` measures; none: it does not count.",
    )
    leak_max: Annotated[float, Field(ge=-1e6, le=1e6)] | None = Field(
        None, description="How much of them may be given away, in the same unit."
    )

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return (self.energy_j, self.deadline_s, self.leak_max) != (None, None, None)

    @model_validator(mode="after")
    def _leaks_have_a_limit(self) -> "Budgets":
        """Leaks and their limit are both there, or both absent."""
        if bool(self.leak_by_cut) != (self.leak_max is not None):
            raise ValueError(
                f"leak_by_cut = {list(self.leak_by_cut)} and leak_max = {self.leak_max} must both be there, or neither"
            )
        return self


class Family(Section):
    """What every episode draws for itself; what is absent is as the other sections say."""

    clients: tuple[NodeCount, NodeCount] | None = Field(
        None, description="Fewest and most clients; the others of clients.count are absent."
    )
    clients_spread: Literal["uniform", "log-uniform"] = Field(
        "uniform", description="How the number of clients is drawn; log-uniform: of cells of all sizes as many."
    )
    compute_factor: tuple[Factor, Factor] | None = Field(
        None, description="Factor on the speeds of all clients, drawn log-uniformly (no unit)."
    )
    radius_m: tuple[Metres, Metres] | None = Field(None, description="Radius of the cell, drawn uniformly, m.")
    subchannel_hz: tuple[Hertz, Hertz] | None = Field(
        None, description="Bandwidth of a subchannel, drawn log-uniformly, Hz."
    )
    dirichlet_alpha: tuple[Factor, Factor] | None = Field(
        None, description="Concentration of the partition, drawn log-uniformly."
    )

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> "Family":
        """Ranges have the lower value first."""
        for name in type(self).model_fields:
            drawn = getattr(self, name)
            if isinstance(drawn, tuple) and not 0 < drawn[0] <= drawn[1]:
                raise ValueError(f"{name} = {list(drawn)} must be two positive values, the lower one first")
        return self
