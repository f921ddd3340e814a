"""How far smashed data can be compressed: accuracy against bits, and time to target against bandwidth.

    python -m experiments codecs

PSL on the preset `narrowband`, eight clients with unequal data, real training from scratch; everybody takes part in
every round, with the subchannels and powers of the descent. What is trained does not depend on the bandwidth: in every
round it is also worked out what the round would take with the same decision, cell and fading, and more or less of it.
"Fixed" methods have one codec. Others decide it, by the round or by the channel of a client: what a scheduler may gain
by deciding it.
"""

from dataclasses import dataclass

from experiments.codecs.methods import METHODS
from experiments.codecs.report import plot_accuracy, plot_bandwidth, report
from experiments.codecs.runs import measure
from experiments.fixed_length import Length
from experiments.running import Case, Experiment


@dataclass(frozen=True)
class Cases(Length):
    """Methods by cut layer."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form three."""
        found = [
            {"cut_layer": cut_layer, "method": name, **self.settings(quick)}
            for name, method in METHODS.items()
            for cut_layer in method.cut_layers
        ]
        return [case for case in found if not quick or (case["cut_layer"] == 2 and METHODS[case["method"]].in_short)]


EXPERIMENT = Experiment(
    title="How far can smashed data be compressed?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"accuracy": plot_accuracy, "bandwidth": plot_bandwidth},
    seeds=5,
)
