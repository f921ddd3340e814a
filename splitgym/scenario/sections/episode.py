"""When an episode ends, and what it draws for itself."""

from pydantic import Field, model_validator

from splitgym.scenario.quantities import Factor, Hertz, Metres, NodeCount, Rounds, Seconds
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


class Family(Section):
    """What every episode draws for itself; what is absent is as the other sections say."""

    clients: tuple[NodeCount, NodeCount] | None = Field(
        None, description="Fewest and most clients, drawn uniformly; the others of clients.count are absent."
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
            if drawn is not None and not 0 < drawn[0] <= drawn[1]:
                raise ValueError(f"{name} = {list(drawn)} must be two positive values, the lower one first")
        return self
