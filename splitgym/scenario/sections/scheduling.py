"""What a scheduler believes, what it decides, and what actions can say."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from splitgym.scenario.parts import CODECS, known
from splitgym.scenario.quantities import Delay, ErrorDb
from splitgym.scenario.section import Section


class Knowledge(Section):
    """What the scheduler believes, where that differs from what the round runs on."""

    channel_delay_rounds: Delay = Field(0, description="Age of the channel knowledge, rounds.")
    channel_error_db: ErrorDb = Field(0.0, description="Standard deviation of the channel estimate, dB.")
    compute_delay_rounds: Delay = Field(0, description="Age of the knowledge of the clients' speeds, rounds.")


class Plan(Section):
    """What may be decided about how clients train in a round, beside the common cut layer and phi."""

    cut_layer: Literal["common", "by-client"] = Field(
        "common", description="by-client: each client may have a cut layer of its own, where the framework allows it."
    )
    second_cut: Literal["fixed", "decided"] = Field(
        "fixed",
        description="decided: the last unit on the edge server is decided in every round, with a framework that has a "
        "cloud; fixed: `cloud.cut_layer`.",
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

    quorum: Literal["fixed", "decided"] = Field(
        "fixed",
        description="decided: with an asynchronous framework the quorum is decided in every step; fixed: "
        "`training.quorum`.",
    )

    @model_validator(mode="after")
    def _codecs_differ(self) -> "Plan":
        """No codec stands twice in the list."""
        if len(set(self.codecs)) < len(self.codecs):
            raise ValueError(f"codecs = {list(self.codecs)}, allowed: each one once")
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

    @model_validator(mode="after")
    def _levels_are_fractions(self) -> "Actions":
        """Levels are increasing values between 0 and 1."""
        for name in ("aggregation_levels", "power_levels"):
            levels = getattr(self, name)
            if list(levels) != sorted(set(levels)) or levels[0] < 0 or levels[-1] > 1:
                raise ValueError(f"{name} = {levels} must be increasing values between 0 and 1")
        return self
