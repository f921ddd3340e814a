"""A run of the command: clients come, rounds are played and told line by line, files are written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from splitgym import outputs
from splitgym.execution.figure import new_figure, write_figure
from splitgym.execution.gathering import clients, parties, welcome
from splitgym.execution.run import Decide, Execution, Played, check_sharing, simulated
from splitgym.execution.timeline import Span, table, to_csv
from splitgym.inputs import InputError


@dataclass
class Session:
    """An episode on real processes, told on the console.

    Args:
        env: `SplitLearningEnv` with learner="train".
        decide: Of a scheduler.
        seed: Of the episode.
        scale: Real seconds for a simulated one; None: chosen.
        out: Folder for the files; None: they are not written.
    """

    env: Any
    decide: Decide
    seed: int
    scale: float | None = None
    out: Path | None = None
    spans: list[Span] = field(default_factory=list, init=False)

    def play(self, rounds: int | None, listen: str | None, secret_file: Path | None) -> None:
        """Plays rounds, at most so many.

        Args:
            rounds: None: until the episode ends.
            listen: Where clients join, HOST:PORT; None: they are started here.
            secret_file: With the secret of those that join.

        Raises:
            InputError: weights or bytes are not those of the simulator, or no client is left; before anything starts:
                the scenario is not executed.
            OSError: before anything starts: the folder cannot be made.
        """
        if self.out is not None:
            new_figure()
            self.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        self.env.reset(seed=self.seed)
        check_sharing(self.env)
        learner = simulated(self.env)
        count = len(parties(learner.scenario, learner.framework.name))
        with clients(count, listen, secret_file, _say) as links:
            told = learner.scenario, learner.framework.name, learner.seed
            execution = Execution(self.env, self.decide, *welcome(links, *told, _say), self.scale)
            try:
                unequal = self._play_rounds(execution, rounds)
            finally:
                execution.end()
                self._write(execution.scale or 1.0)
        _say(table(self.spans, execution.scale or 1.0))
        if unequal:
            raise InputError(f"weights or bytes of rounds {', '.join(map(str, unequal))} are not the simulator's")
        _say(f"weights of server and clients: the simulator's, to the bit, after each of {execution.rounds} rounds")

    def _play_rounds(self, execution: Execution, rounds: int | None) -> list[int]:
        """Plays and tells; numbers of rounds whose weights or bytes are not the simulator's."""
        unequal = []
        while rounds is None or execution.rounds < rounds:
            played = execution.play()
            if played.number == 1:
                _say(f"{execution.scale:.4g} real seconds for a simulated one")
            self.spans += played.spans
            if not (played.weights_equal and played.bytes_equal):
                unequal.append(played.number)
            _say(said(played))
            if played.ends_episode:
                break
        return unequal

    def _write(self, scale: float) -> None:
        """Writes the timeline of the rounds that were played, with so many real seconds for a simulated one."""
        if self.out is None or not self.spans:
            return
        outputs.write_text(self.out / "timeline.csv", to_csv(self.spans))
        write_figure(self.out / "timeline.png", self.spans, scale)
        _say(f"{self.out}: timeline.csv, timeline.png")


def said(played: Played) -> str:
    """Lines about a round."""
    measured, cost = played.measured, played.schedule.cost
    bits = f"{measured.payload_bytes:,} bytes as charged" if played.bytes_equal else _bytes_that_differ(played)
    weights = "weights equal" if played.weights_equal else "WEIGHTS DIFFER"
    lines = [
        f"round {played.number}: {len(measured.took_part)} clients, {float(cost.latency_s):.3f} s simulated, "
        f"{measured.latency_s:.3f} s measured; {weights}; {bits} + {measured.framing_bytes:,} of framing"
    ]
    lines += [f"  client {i} is out in {stage}; the round goes on" for i, stage in sorted(measured.lost.items())]
    if played.schedule.waits_for_units:
        lines.append("  units move up: the server waits for all of them; the round counts in no error")
    if measured.slow:
        lines.append(f"  {measured.slow[0]}; a larger --scale gives it more")
    return "\n".join(lines)


def _bytes_that_differ(played: Played) -> str:
    charged = "?" if played.charged_bytes is None else f"{played.charged_bytes:,.0f}"
    return f"{played.measured.payload_bytes:,} BYTES, CHARGED {charged},"


def _say(line: str) -> None:
    print(line, flush=True)
