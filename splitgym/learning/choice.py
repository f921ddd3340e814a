"""The learners to choose from, and what the worlds ask of them."""

from collections.abc import Sequence
from typing import Protocol

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks import Framework
from splitgym.frameworks.placements import Placement
from splitgym.learning.surrogate import Surrogate
from splitgym.models import NetworkCosts
from splitgym.parts import suggest
from splitgym.random import Generators, Streams
from splitgym.scenario import Scenario, ScenarioError
from splitgym.types import Decision, Flights, RoundOutcome

LEARNERS = ("train", "surrogate")
"""Real training; a model of it that was calibrated on its logs."""


class Learners(Protocol):
    """What learns in N worlds."""

    data_share: Floats
    """[N, C] share of all training samples; 0 for clients that are absent from an episode."""
    class_share: Floats
    """[N, C, K] share of each class in a client's samples; 0 for absent clients."""
    samples: Ints
    """[N, C] training samples of each client; 0 for absent clients, and where there are none but shares."""
    samples_left: Ints
    """[N, C] those that a client has not trained on yet since it last began with all of them."""
    outcome: RoundOutcome
    """What the last round taught, with a leading axis N; later rounds write into its arrays."""
    before: RoundOutcome
    """The outcome of the round before, likewise."""

    network_costs: NetworkCosts | None
    """What is known of the network's costs without building it."""

    def reset(self, which: Ints, rngs: Generators, streams: Streams, clients: Ints, dirichlet_alpha: Floats) -> None:
        """Begins episodes in some worlds.

        Args:
            which: [W] indices of the worlds.
            rngs: One generator for each of them.
            streams: Of N worlds.
            clients: [W] how many of the C clients there are; the last ones are absent.
            dirichlet_alpha: [W] concentrations of partition='dirichlet'.
        """
        ...

    def round(
        self,
        decision: Decision,
        participants: Bools,
        streams: Streams,
        flights: Flights | None = None,
        placements: Sequence[Placement] | None = None,
    ) -> None:
        """Learns a round in every world.

        Args:
            decision: Of N worlds.
            participants: [N, C] which clients really take part.
            streams: Of N worlds.
            flights: With an asynchronous framework what is in flight at the end of the step.
            placements: [N] with a path of servers which of these train which units.
        """
        ...


def learners(name: str, scenario: Scenario, framework: Framework, worlds: int, device: str | None) -> Learners:
    """The learners of that name for N worlds.

    Raises:
        ScenarioError: there are none of that name (the message suggests the nearest), the surrogate is not calibrated
            for the scenario, or there is no such device.
    """
    if name == "train":
        from splitgym.learning.real import RealLearners  # noqa: PLC0415 - imports torch, which takes seconds

        return RealLearners(scenario, framework, worlds, device)
    if name == "surrogate":
        # It trains on no device, but none shall be named in vain.
        if device is not None:
            from splitgym.learning.device import training_device  # noqa: PLC0415 - as above

            training_device(device)
        return Surrogate(scenario, framework, worlds)
    raise ScenarioError(f"learner = {name!r} is unknown, {suggest(str(name), LEARNERS)}")
