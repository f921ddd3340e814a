"""The devices: clients, edge server, cloud."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from splitgym.scenario.errors import ScenarioError
from splitgym.scenario.names import Name
from splitgym.scenario.quantities import (
    FULL_BITS,
    Bits,
    BitsPerSecond,
    Bytes,
    Capacitance,
    CyclesPerFlop,
    Factor,
    Fraction,
    Hertz,
    NodeCount,
    Rounds,
    UnitNumbers,
    Units,
)
from splitgym.scenario.section import Section
from splitgym.scenario.stored import STORAGE, STORED

ProfileName = Annotated[str, Field(min_length=1, max_length=1000)]


def _as_list(value: Any) -> Any:
    """One name stands for a list of it."""
    return (value,) if isinstance(value, str) else value


class Clients(Section):
    """The devices that hold the data."""

    count: NodeCount = Field(5, description="Number of clients C.")
    compute_min_hz: Hertz = Field(1.0e9, description="Slowest client, cycles/s.")
    compute_max_hz: Hertz = Field(1.6e9, description="Fastest client, cycles/s.")
    compute_spread: Literal["uniform", "log-uniform"] = Field(
        "uniform", description="How the clients' speeds lie between slowest and fastest."
    )
    speeds_hz: Annotated[tuple[Hertz, ...], Field(max_length=100_000)] = Field(
        (),
        description="Speed of each client, cycles/s, between the two above; none: every episode draws them there.",
    )
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 16, description="kappa_c, cycles/FLOP.")
    profile: Annotated[tuple[ProfileName, ...], BeforeValidator(_as_list), Field(max_length=100_000)] = Field(
        (),
        description="Measured devices instead of FLOPs: the name of one, or a list of which clients are the first, the "
        "second and so on, then again the first. A name is the path of a .toml file that `splitgym profile` "
        "wrote, or that of a published one, such as 'vgg19-cifar-laptop'. The fastest device has `compute_max_hz`, the "
        "others are as much slower as measured.",
    )
    switched_capacitance: Capacitance = Field(
        1e-28, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    cycles_at_bits: Annotated[tuple[tuple[Bits, Factor], ...], Field(min_length=1, max_length=30)] = Field(
        ((32, 1.0), (16, 0.5), (8, 0.25)),
        description="Cycles with numbers of so many bits, over those with 32 (no unit); others need those of the next "
        "number of bits in the list.",
    )
    energy_exponent: Annotated[float, Field(ge=0, le=10)] = Field(
        1.25, description="The energy of computing with k bits is (k / 32) to this power of that with 32."
    )
    load_max: float = Field(
        0.0, ge=0, lt=1, description="Other work takes a fraction of the processor between 0 and this, fluctuating."
    )
    load_correlation: Fraction = Field(0.9, description="Correlation of that fraction from one round to the next.")
    dropout_probability: Fraction = Field(0.0, description="Probability that an available client drops out.")
    return_probability: float = Field(0.5, gt=0, le=1, description="Probability that an unavailable client comes back.")
    memory_min_bytes: Bytes | None = Field(
        None, description="Least memory for training of a client, bytes, drawn log-uniformly; absent: no limit."
    )
    memory_max_bytes: Bytes | None = Field(None, description="Most memory, bytes.")
    recompute: bool = Field(
        False,
        description="Clients keep only what goes into each unit, and run its forward pass once more in the backward "
        "pass: less memory, more cycles.",
    )

    tail_units: int = Field(
        1,
        ge=1,
        le=1000,
        description="Last units that each client keeps with framework 'u-shaped', where the second cut is not decided.",
    )

    def cycles_factor(self, bits: int) -> float:
        """Cycles with numbers of so many bits over those with 32."""
        return min((known, factor) for known, factor in self.cycles_at_bits if known >= bits)[1]

    def energy_factor(self, bits: int) -> float:
        """Energy of a cycle with numbers of so many bits over that of one with 32."""
        return (bits / FULL_BITS) ** self.energy_exponent / self.cycles_factor(bits)

    @model_validator(mode="after")
    def _has_full_precision(self) -> "Clients":
        """Cycles are relative to those with 32 bits."""
        if (FULL_BITS, 1.0) not in self.cycles_at_bits:
            raise ValueError(f"cycles_at_bits = {list(self.cycles_at_bits)}, allowed: with [{FULL_BITS}, 1.0] in it")
        return self

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

    @model_validator(mode="after")
    def _own_speeds_fit(self) -> "Clients":
        """There is one for each client, within the range, and no measured device beside it."""
        speeds = self.speeds_hz
        if speeds and len(speeds) != self.count:
            raise ValueError(f"speeds_hz has {len(speeds)} numbers, allowed: {self.count}, as count says, or none")
        if speeds and self.profile:
            raise ValueError("speeds_hz and profile are both there, allowed: one of them")
        for speed in speeds:
            if not self.compute_min_hz <= speed <= self.compute_max_hz:
                raise ValueError(
                    f"speeds_hz has {speed:g}, allowed: compute_min_hz = {self.compute_min_hz:g} to compute_max_hz = "
                    f"{self.compute_max_hz:g}"
                )
        return self

    @model_validator(mode="after")
    def _memories_are_ordered(self) -> "Clients":
        """The range of memories has both ends, the lower one first."""
        least, most = self.memory_min_bytes, self.memory_max_bytes
        if (least is None) != (most is None) or (least is not None and most is not None and least > most):
            raise ValueError(
                f"memory_min_bytes = {least} and memory_max_bytes = {most} must both be there, the lower one first, or "
                "both be absent"
            )
        return self


class Server(Section):
    """The edge server."""

    compute_hz: Hertz = Field(5e9, description="Speed f_s, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 32, description="kappa_s, cycles/FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-29, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    profile: ProfileName | None = Field(
        None,
        description="A measured device instead of FLOPs, as in `clients.profile`: units take it the seconds of the "
        "file, whatever its speed, to which energy refers.",
    )
    memory_bytes: Bytes | None = Field(None, description="Memory for training, bytes; absent: no limit.")
    storage_bytes: Bytes | None = STORAGE
    stored_units: UnitNumbers = STORED


class Cloud(Section):
    """A cloud behind the edge server, which trains the last units with framework 'hierarchical'."""

    compute_hz: Hertz = Field(20e9, description="Speed, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 32, description="Cycles of the cloud per FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-30, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    memory_bytes: Bytes | None = Field(None, description="Memory for training, bytes; absent: no limit.")
    storage_bytes: Bytes | None = STORAGE
    stored_units: UnitNumbers = STORED
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


class FedServer(Section):
    """The server that averages the clients' parts with frameworks 'sfl-v1' and 'sfl-v2', apart from the edge server."""

    node: Name = Field(
        "server",
        description="Where it is: 'server', beside the edge server, where averaging and the way there cost nothing; "
        "'cloud', behind the link between edge server and cloud; or a row of `nodes` with a link to 'server'.",
    )
    interval_rounds: Rounds = Field(
        1, description="It averages in every so many rounds; until then clients keep their own parts."
    )
