"""What do few bits at the clients save, beside the same joules saved by a shallower cut?

    python -m experiments low_precision

PSL on the preset `iot`, eight clients with unequal data, real training from scratch; everybody takes part in every
round, with the subchannels and powers of the descent. Clients compute with k bits throughout: weights, activations,
gradients and momentum are rounded, and what they send has k bits. The server keeps 32.
"""

from dataclasses import dataclass

from experiments import joules
from experiments.fixed_length import Length
from experiments.joules import CUT_LAYERS, Varied
from experiments.running import Case, Experiment, Row

BITS = Varied("bits", {bits: f"{bits} bits" for bits in (32, 16, 8, 6, 4)}, "full precision", "few bits")


@dataclass(frozen=True)
class Cases(Length):
    """Bits by cut layer."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form two."""
        bits, cuts = ((32, 8), (1,)) if quick else (tuple(BITS.names), CUT_LAYERS)
        return [{"cut_layer": cut, "bits": each, **self.settings(quick)} for cut in cuts for each in bits]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy over the rounds, joules of the clients, and simulated time."""
    return joules.measure(case, seed, case["bits"])


EXPERIMENT = Experiment(
    title="What do few bits at the clients save?",
    cases=Cases(),
    measure=measure,
    report=BITS.report,
    plots={"energy": BITS.plot},
    seeds=5,
)
