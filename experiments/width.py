"""What do fewer channels at the clients save, beside the same joules saved by a shallower cut?

    python -m experiments width

As `low_precision`, PSL on the preset `iot` from scratch: clients compute, train and send a fraction of the channels of
their layers, the first ones, with 32 bits. The server keeps all.
"""

from dataclasses import dataclass

from experiments import joules
from experiments.fixed_length import Length
from experiments.joules import CUT_LAYERS, Varied
from experiments.running import Case, Experiment, Row
from splitgym.scenario.quantities import FULL_BITS

WIDTHS = Varied(
    "width",
    {
        1.0: "all channels",
        0.5: "half of the channels",
        0.25: "a quarter of the channels",
        0.125: "an eighth of the channels",
    },
    "all channels",
    "fewer",
)


@dataclass(frozen=True)
class Cases(Length):
    """Widths by cut layer."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form two."""
        widths, cuts = ((1.0, 0.5), (1,)) if quick else (tuple(WIDTHS.names), CUT_LAYERS)
        return [{"cut_layer": cut, "width": each, **self.settings(quick)} for cut in cuts for each in widths]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy over the rounds, joules of the clients, and simulated time."""
    width = case["width"]
    return joules.measure(case, seed, FULL_BITS if width == WIDTHS.full else f"{FULL_BITS}x{width:g}")


EXPERIMENT = Experiment(
    title="What do fewer channels at the clients save?",
    cases=Cases(),
    measure=measure,
    report=WIDTHS.report,
    plots={"energy": WIDTHS.plot},
    seeds=3,
)
