"""Where the clients are, and what the way to the base station does to a signal."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from splitgym.scenario.parts import PATH_LOSSES, known
from splitgym.scenario.quantities import LossDb, Metres, MetresPerSecond
from splitgym.scenario.section import Section


class Cell(Section):
    """Where the clients are and what the way to the base station does to a signal."""

    radius_m: Metres = Field(200.0, description="Radius of the cell, m.")
    min_distance_m: Metres = Field(10.0, description="Smallest ground distance of a client to the base station, m.")
    base_station_height_m: Metres = Field(10.0, description="Antenna height of the base station, m.")
    client_height_m: Metres = Field(1.5, description="Antenna height of the clients, m.")
    speed_m_per_s: MetresPerSecond = Field(0.0, description="Speed of every client, m/s; 0: no client moves.")
    mobility: Literal["bounce", "road"] = Field(
        "bounce",
        description="How clients move: bounce: straight on from anywhere in the cell, reflected at its borders; road: "
        "on the section `road`, whose speeds count.",
    )
    path_loss: Annotated[str, AfterValidator(known(PATH_LOSSES))] = Field(
        "umi",
        description="Path loss: umi: 3GPP TR 38.901 UMi street canyon; mmwave-28ghz: the measurements of Akdeniz et "
        "al. (2014); constant: the same loss for all clients; or module:NAME of one's own.",
    )
    constant_loss_db: LossDb = Field(100.0, description="Path loss with path_loss='constant', dB.")
    line_of_sight: Literal["probabilistic", "always", "never"] = Field(
        "probabilistic", description="Whether a client sees the base station; probabilistic: by its distance."
    )
    shadowing: bool = Field(True, description="Log-normal shadowing with the deviation of the path-loss model.")

    @model_validator(mode="after")
    def _umi_antennas_are_above_traffic(self) -> "Cell":
        """The UMi model holds for antennas above 1 m."""
        for name in ("base_station_height_m", "client_height_m"):
            if self.path_loss == "umi" and getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} = {getattr(self, name):g} must exceed 1 m, the height of traffic in path_loss 'umi'"
                )
        return self

    @model_validator(mode="after")
    def _ring_exists(self) -> "Cell":
        """There are distances between the smallest one and the radius."""
        if self.min_distance_m >= self.radius_m:
            raise ValueError(
                f"min_distance_m = {self.min_distance_m} must be smaller than radius_m = {self.radius_m}, "
                "or there is no place for a client"
            )
        return self
