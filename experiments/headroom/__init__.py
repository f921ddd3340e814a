"""How much less time to the target an oracle needs that looks ahead on a copy of the world: real training.

    python -m experiments headroom

Common seeds until the target; the oracle (`splitgym/schedulers/look_ahead.py`) sees truth and future.
`headroom.rounds` asks the same of single rounds.
"""

from dataclasses import dataclass

from experiments.headroom.episodes import measure
from experiments.headroom.methods import PRESETS, REAL, Preset, methods
from experiments.headroom.report import episode_report, plot
from experiments.running import Case, Experiment
from splitgym.evaluation import HELD_OUT


@dataclass(frozen=True)
class Cases:
    """Methods in presets."""

    presets: tuple[Preset, ...] = tuple(preset for preset in PRESETS if preset not in REAL)
    """Scenarios; epsl and edge6g need SPLITGYM_DATA, a processor with bf16, and hours for each seed."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form toy only, for twelve rounds, to 15 %."""
        presets = ("toy",) if quick else self.presets
        return [
            {"preset": preset, "method": method.name, "oracle": method.is_oracle, "quick": quick}
            for preset in presets
            for method in methods(preset)
        ]


EXPERIMENT = Experiment(
    title="How much less time to the target accuracy does a look-ahead oracle need than any rule?",
    cases=Cases(),
    measure=measure,
    report=episode_report,
    plots={"headroom": plot},
    first_seed=HELD_OUT,
)
