"""How clients that move change their base station, and the road that they may drive on."""

from typing import Annotated

from pydantic import Field, model_validator

from splitgym.scenario.quantities import ErrorDb, Metres, MetresPerSecond
from splitgym.scenario.section import Section

Moment = Annotated[float, Field(ge=0.0, le=1e6)]
"""Seconds, perhaps none."""


class Handover(Section):
    """When a client changes its base station: event A3 of 3GPP TS 38.331, seen at the start of each round."""

    hysteresis_db: ErrorDb = Field(
        3.0, description="By how much another station's large-scale gain must exceed that of the client's own, dB."
    )
    time_to_trigger_s: Moment = Field(
        0.32,
        description="For how long that must hold, s; seen at the start of a round, it held in the whole round before.",
    )
    interruption_s: Moment = Field(
        0.05, description="By how much later a client begins the round in which it has a new station, s."
    )


class Road(Section):
    """A straight road along the x axis, its middle in the origin, with `cell.mobility = "road"`."""

    length_m: Metres = Field(3000.0, description="Length of the road, m; vehicles drive back at its ends.")
    lanes: int = Field(2, ge=1, le=100, description="Lanes side by side; each vehicle keeps its own.")
    lane_width_m: Metres = Field(3.5, description="Width of a lane, m.")
    speed_min_m_per_s: MetresPerSecond = Field(20.0, description="Slowest vehicle, m/s.")
    speed_max_m_per_s: MetresPerSecond = Field(30.0, description="Fastest vehicle, m/s.")
    platoon_m: Metres | None = Field(
        None,
        description="Length of the stretch on which all vehicles start, m, to drive the same way at the same speed; "
        "absent: each by itself, anywhere on the road.",
    )

    @model_validator(mode="after")
    def _platoon_has_room(self) -> "Road":
        """A platoon is no longer than the road."""
        if self.platoon_m is not None and self.platoon_m > self.length_m:
            raise ValueError(f"platoon_m = {self.platoon_m:g} must not exceed length_m = {self.length_m:g}")
        return self

    @model_validator(mode="after")
    def _speeds_are_ordered(self) -> "Road":
        """The slowest vehicle is not faster than the fastest."""
        if self.speed_min_m_per_s > self.speed_max_m_per_s:
            raise ValueError(
                f"speed_min_m_per_s = {self.speed_min_m_per_s:g} must not exceed "
                f"speed_max_m_per_s = {self.speed_max_m_per_s:g}"
            )
        return self
