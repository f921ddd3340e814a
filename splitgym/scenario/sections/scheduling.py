"""What a scheduler believes, what it decides, and what actions can say."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from splitgym.scenario.levels import Level
from splitgym.scenario.parts import CODECS, known
from splitgym.scenario.quantities import BatchSize, Bits, Delay, ErrorDb
from splitgym.scenario.section import Section


class Knowledge(Section):
    """What the scheduler believes, where that differs from what the round runs on."""

    channel_delay_rounds: Delay = Field(0, description="Age of the channel knowledge, rounds.")
    channel_error_db: ErrorDb = Field(0.0, description="Standard deviation of the channel estimate, dB.")
    compute_delay_rounds: Delay = Field(0, description="Age of the knowledge of the clients' speeds, rounds.")
    labels: Literal["private", "reported"] | None = Field(
        None,
        description="What comes from the clients' labels (class shares, losses) is unknown (private), or clients "
        "report it; absent: private with framework 'u-shaped', which leaves labels to them, known with the others.",
    )


class Plan(Section):
    """What may be decided about how clients train in a round, beside the common cut layer and phi."""

    cut_layer: Literal["common", "by-client"] = Field(
        "common", description="by-client: each client may have a cut layer of its own, where the framework allows it."
    )
    second_cut: Literal["fixed", "decided"] = Field(
        "fixed",
        description="decided: the last unit on the edge server is decided in every round, with a framework that has a "
        "cloud or leaves last units to the clients; fixed: `cloud.cut_layer`, or all but `clients.tail_units`.",
    )
    codecs: Annotated[
        tuple[Annotated[str, AfterValidator(known(CODECS))], ...], Field(min_length=1, max_length=100)
    ] = Field(
        ("none",),
        description="How smashed data and their gradients may be sent, see `splitgym.frameworks.codecs`; where there "
        "are several, it is decided in every round.",
    )
    codec: Literal["common", "by-client"] = Field(
        "common", description="by-client: each client may have a codec of its own, with phi = 0."
    )
    clock: Literal["full", "decided"] = Field(
        "full",
        description="decided: actions say which fraction of the speed that it has to spare each client computes with; "
        "energy per cycle falls with its square.",
    )

    precisions: Annotated[tuple[Bits | str, ...], Field(min_length=1, max_length=100)] = Field(
        (32,),
        description="Bits of the numbers with which clients may compute, 2 to 16 in fixed point or 32, or with them "
        'the fraction of the channels of each layer that clients keep, such as "32x0.5"; where there are several, it '
        "is decided in every round.",
    )
    precision: Literal["common", "by-client"] = Field(
        "common", description="by-client: each client may compute with bits of its own, with phi = 0."
    )

    batch_sizes: Annotated[tuple[BatchSize, ...], Field(max_length=100)] = Field(
        (),
        description="Samples of a client's mini-batch, increasing: any number from the first to the last may be "
        "decided in every round, and actions choose from those that are listed; none: it is `training.batch_size`.",
    )
    batch_size: Literal["common", "by-client"] = Field(
        "common",
        description="by-client: each client may have a batch size of its own, with phi = 0, where the framework allows "
        "it.",
    )

    quorum: Literal["fixed", "decided"] = Field(
        "fixed",
        description="decided: with an asynchronous framework the quorum is decided in every step; fixed: "
        "`training.quorum`.",
    )
    averaging: Literal["fixed", "decided"] = Field(
        "fixed",
        description="decided: with a framework that has a fed server it is decided in every round whether it averages; "
        "fixed: in every `fed_server.interval_rounds`.",
    )

    placement: Literal["fixed", "decided"] = Field(
        "fixed",
        description="decided: with framework 'multi-hop' it is decided in every round which nodes train the units "
        "behind the cut; fixed: those of the first placement.",
    )

    @property
    def levels(self) -> tuple[Level, ...]:
        """What `precisions` say."""
        return tuple(Level.read(each) for each in self.precisions)

    @model_validator(mode="after")
    def _batch_sizes_increase(self) -> "Plan":
        """There are none, or several in increasing order."""
        sizes = self.batch_sizes
        if sizes and (len(sizes) == 1 or list(sizes) != sorted(set(sizes))):
            raise ValueError(f"batch_sizes = {list(sizes)}, allowed: two or more in increasing order, or none")
        return self

    @model_validator(mode="after")
    def _choices_differ(self) -> "Plan":
        """Nothing stands twice in a list, and precisions are such as there are."""
        for name in ("codecs", "levels"):
            choices = getattr(self, name)
            if len(set(choices)) < len(choices):
                said = "precisions" if name == "levels" else name
                raise ValueError(f"{said} = {list(getattr(self, said))}, allowed: each one once")
        return self


class Actions(Section):
    """What the discrete action encodings can say."""

    aggregation_levels: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0), min_length=1, max_length=1000, description="Values of phi to choose from."
    )
    power_levels: tuple[float, ...] = Field(
        (0.0625, 0.125, 0.25, 0.5, 1.0),
        min_length=1,
        max_length=1000,
        description="Transmit powers on a subchannel to choose from, as fractions of the client's power budget.",
    )
    clock_levels: tuple[float, ...] = Field(
        (0.25, 0.5, 0.75, 1.0),
        min_length=1,
        max_length=1000,
        description="Clocks to choose from, as fractions of the speed that the client has to spare.",
    )

    @model_validator(mode="after")
    def _levels_are_fractions(self) -> "Actions":
        """Levels are increasing values between 0 and 1."""
        for name in ("aggregation_levels", "power_levels", "clock_levels"):
            levels = getattr(self, name)
            if list(levels) != sorted(set(levels)) or levels[0] < 0 or levels[-1] > 1:
                raise ValueError(f"{name} = {levels} must be increasing values between 0 and 1")
        if self.clock_levels[0] <= 0:
            raise ValueError(f"clock_levels = {self.clock_levels} must be above 0")
        return self
