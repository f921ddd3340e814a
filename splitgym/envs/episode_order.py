"""In which order an environment is used: reset, then step, and nothing after close."""

import gymnasium as gym


class EpisodeOrder:
    """Says what is wrong with a call that comes too early or too late."""

    _begun = _running = _closed = False
    """Whether an episode has begun, whether it goes on, and whether the environment is closed."""

    def _need_open(self) -> None:
        if self._closed:
            raise gym.error.ClosedEnvironmentError("the environment is closed: make another one")

    def _need_reset(self) -> None:
        self._need_open()
        if not self._begun:
            raise gym.error.ResetNeeded("no episode has begun: call reset() first")

    def _need_episode(self) -> None:
        self._need_open()
        if not self._running:
            raise gym.error.ResetNeeded("no episode is running: call reset() before step()")
