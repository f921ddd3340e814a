"""What an environment notes for its frames; one that does not render has no recorder."""

from typing import Any, NamedTuple

import numpy as np

from splitgym.arrays import Floats
from splitgym.envs.world import Round, World
from splitgym.rendering import Played, Scene, render
from splitgym.types import RoundState


class _View(NamedTuple):
    """The cell at the start of a round."""

    state: RoundState
    position_m: Floats
    radius_m: float


class Recorder:
    """Follows an episode of one world, and shows its last round.

    Args:
        world: Just reset; a batch of one.
        learner: "train" or "surrogate".
        mode: One of `splitgym.rendering.RENDER_MODES`.
    """

    def __init__(self, world: World, learner: str, mode: str) -> None:
        self._learner, self._mode = learner, mode
        self._scenario, self._framework = world.scenario, world.framework
        self._shown = self._coming = _look(world)
        self._elapsed_s, self._accuracy = [0.0], [float(world.outcome.accuracy[0])]
        self._played: Played | None = None

    def follow(self, world: World, played: Round) -> None:
        """Notes a round that the world has played."""
        self._shown, self._coming = self._coming, _look(world)
        self._elapsed_s.append(float(world.state.elapsed_s[0]))
        self._accuracy.append(float(played.outcome.accuracy[0]))
        self._played = Played(
            played.decision.world(0),
            played.cost.world(0),
            bool(played.projected[0]),
            bool(played.outcome.trained[0]),
        )

    def scene(self) -> Scene:
        """The last round, on the cell that it ran on."""
        return Scene(
            scenario=self._scenario,
            framework=self._framework,
            learner=self._learner,
            elapsed_s=np.array(self._elapsed_s),
            accuracy=np.array(self._accuracy),
            played=self._played,
            **self._shown._asdict(),
        )

    def frame(self) -> Any:
        """The scene as the render mode says."""
        return render(self.scene(), self._mode)


def _look(world: World) -> _View:
    return _View(world.truth.world(0).copy(), world.position_m[0].copy(), float(world.radius_m[0]))
