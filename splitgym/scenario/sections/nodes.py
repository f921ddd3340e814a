"""The devices: clients, edge server, cloud."""

from typing import Literal

from pydantic import Field, model_validator

from splitgym.scenario.errors import ScenarioError
from splitgym.scenario.quantities import BitsPerSecond, Capacitance, CyclesPerFlop, Fraction, Hertz, NodeCount, Units
from splitgym.scenario.section import Section


class Clients(Section):
    """The devices that hold the data."""

    count: NodeCount = Field(5, description="Number of clients C.")
    compute_min_hz: Hertz = Field(1.0e9, description="Slowest client, cycles/s.")
    compute_max_hz: Hertz = Field(1.6e9, description="Fastest client, cycles/s.")
    compute_spread: Literal["uniform", "log-uniform"] = Field(
        "uniform", description="How the clients' speeds lie between slowest and fastest."
    )
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 16, description="kappa_c, cycles/FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-28, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    load_max: float = Field(
        0.0, ge=0, lt=1, description="Other work takes a fraction of the processor between 0 and this, fluctuating."
    )
    load_correlation: Fraction = Field(0.9, description="Correlation of that fraction from one round to the next.")
    dropout_probability: Fraction = Field(0.0, description="Probability that an available client drops out.")
    return_probability: float = Field(0.5, gt=0, le=1, description="Probability that an unavailable client comes back.")

    tail_units: int = Field(
        1,
        ge=1,
        le=1000,
        description="Last units that each client keeps with framework 'u-shaped', where the second cut is not decided.",
    )

    def second_cut(self, units: int) -> int:
        """Last unit in front of the clients' `tail_units`, of a network of so many units.

        Raises:
            ScenarioError: no unit is left for the clients' first part or for the server.
        """
        if self.tail_units > units - 2:
            raise ScenarioError(
                f"clients.tail_units = {self.tail_units}: a network of {units} units allows at most {units - 2}, so "
                "that the clients have the first unit and the server one behind it"
            )
        return units - self.tail_units

    @model_validator(mode="after")
    def _speeds_are_ordered(self) -> "Clients":
        """The slowest client is not faster than the fastest."""
        if self.compute_min_hz > self.compute_max_hz:
            raise ValueError(
                f"compute_min_hz = {self.compute_min_hz:g} must not exceed compute_max_hz = {self.compute_max_hz:g}"
            )
        return self


class Server(Section):
    """The edge server."""

    compute_hz: Hertz = Field(5e9, description="Speed f_s, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 32, description="kappa_s, cycles/FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-29, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )


class Cloud(Section):
    """A cloud behind the edge server, which trains the last units with framework 'hierarchical'."""

    compute_hz: Hertz = Field(20e9, description="Speed, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 32, description="Cycles of the cloud per FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-30, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    link_bits_per_s: BitsPerSecond = Field(
        100e6, description="Rate of the link between edge server and cloud in each direction, bits/s."
    )
    cut_layer: Units = Field(
        2,
        description="Last unit on the edge server, which stays there; of a cut layer behind it all units are in the "
        "cloud, and the edge server only passes data on.",
    )

    def second_cut(self, units: int) -> int:
        """`cut_layer`, of a network of so many units.

        Raises:
            ScenarioError: no unit is left for the cloud.
        """
        if self.cut_layer >= units:
            raise ScenarioError(
                f"cloud.cut_layer = {self.cut_layer}: allowed are 0 to {units - 1} with a network of {units} units, "
                "so that the cloud has the last one"
            )
        return self.cut_layer
