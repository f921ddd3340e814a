"""`splitgym warm-up`."""

from dataclasses import dataclass
from time import perf_counter

from splitgym.warm_up import ACTIONS, SHARING, Action, Sharing, warm_up


@dataclass(frozen=True)
class WarmUp:
    """Compile the loops of the simulator now, so that no environment has to compile them at its first step.

    The compiled code is kept in the user's cache folder, or in the folder that SPLITGYM_CACHE names. It is the same for
    every scenario, framework and number of environments. What is there already is not compiled again.
    """

    actions: tuple[Action, ...] = ACTIONS
    """Encodings of decisions, the `action` of an environment."""
    sharing: tuple[Sharing, ...] = SHARING
    """How clients share the band."""

    def run(self) -> None:
        """Compiles, and says what and how long it took."""
        from splitgym.kernels import cache_folder  # noqa: PLC0415 - help need not import numba

        what = f"actions {', '.join(self.actions)}; sharing {', '.join(self.sharing)}"
        print(f"compiling kernels for {what}; about a minute if none is compiled yet", flush=True)
        begin_s = perf_counter()
        warm_up(self.actions, self.sharing)
        print(f"done in {perf_counter() - begin_s:.1f} s; compiled kernels are in {cache_folder()}")
