"""Which factors of the plan a scenario lets be decided."""

from typing import Literal

from pydantic import Field

from splitgym.scenario.section import Section


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
