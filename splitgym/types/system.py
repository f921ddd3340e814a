"""What a scheduler knows of the system, the same in every round."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from splitgym.arrays import Floats
from splitgym.frameworks.asynchrony import Asynchrony
from splitgym.frameworks.memory import MemoryNeeds
from splitgym.frameworks.phases import Workload
from splitgym.frameworks.program import Program
from splitgym.network.wired import BESIDE_THE_SERVER, Ways
from splitgym.scenario import Scenario, stations_on_a_subchannel
from splitgym.scenario.levels import Level


@dataclass(frozen=True, eq=False)
class SystemParameters:
    """What stays the same over the rounds: spectrum, budgets, and the framework's program over the network's cuts."""

    subchannels: int
    """Number of subchannels M, of all stations together."""
    noise_psd_w_per_hz: float
    downlink_psd_w_per_hz: float
    client_power_max_w: float
    total_power_max_w: float
    client_capacitance: float
    """xi of the clients, J s^2/cycle^3."""
    server_capacitance: float
    """xi of the server, J s^2/cycle^3."""
    batch_size: int
    """Samples of a mini-batch where nobody decides another number."""
    round_timeout_s: float
    max_rounds: int
    """Budget of rounds of an episode."""
    time_budget_s: float
    """Budget of simulated time of an episode, s."""
    target_accuracy: float
    """Test accuracy at which an episode ends."""
    on_demand: bool
    """Whether idle subchannels are lent, and clients and server go on as soon as they can."""
    clusters: int
    """Clusters to form, with a framework that has them."""
    program: Program
    highest_ratio: float
    """The largest phi that the framework allows; 0: it does not aggregate."""
    codecs: tuple[str, ...]
    """Names of the codecs to choose from, as the scenario says them; one: nobody decides it."""
    precisions: tuple[int | str, ...]
    """Bits of the numbers with which clients may compute, likewise, and the fraction of the channels: "32x0.5"."""
    batch_sizes: tuple[int, ...]
    """Batch sizes that actions choose from, increasing; one: nobody decides it."""
    energy_factors: tuple[float, ...]
    """Of each precision: energy of a client's cycle over that of one with 32 bits."""
    labels_known: bool
    """Whether the scheduler knows what comes from labels; if not, `RoundState` has no class shares and no losses."""
    prefix_bits: Floats
    """[L] model bits of units 1..j at index j (0 at index 0), with full precision."""
    moved_bits: Floats
    """[Q, L] likewise as they move between client and server, with each precision."""
    memory: MemoryNeeds | None = None
    """What plans need of memory; None: the scenario does not limit it."""
    clock_decided: bool = False
    """Whether actions say the clients' clocks."""
    asynchrony: Asynchrony | None = None
    """Of an asynchronous framework."""
    averaging_interval: int = 1
    """Rounds from one mean of clients' parts to the next, with a framework that has a fed server."""
    averaging_decided: bool = False
    """Whether decisions say which rounds end with it."""
    energy_budget_j: float | None = None
    """What clients and servers may spend in an episode, J; None: there is no limit."""
    ways: Ways = BESIDE_THE_SERVER
    """From base stations to the edge server."""
    stations: tuple[str, ...] = ()
    """Names of the base stations; none: one beside the edge server."""
    stations_on_a_subchannel: int = 1
    """S where every station uses all subchannels: then `subchannels` counts those of the first station, of the second
    and so on; 1: each is used once."""

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        workload: Workload,
        program: Program,
        highest_ratio: float,
        labels_known: bool,
        memory: MemoryNeeds | None = None,
        asynchrony: Asynchrony | None = None,
        averaging_decided: bool = False,
    ) -> "SystemParameters":
        """The system of a scenario, its network's workload, and what its framework says."""
        radio = scenario.radio
        return cls(
            subchannels=radio.subchannels * (reuse := stations_on_a_subchannel(scenario)),
            noise_psd_w_per_hz=radio.noise_psd_w_per_hz,
            downlink_psd_w_per_hz=radio.downlink_psd_w_per_hz,
            client_power_max_w=radio.client_power_max_w,
            total_power_max_w=radio.total_power_max_w,
            client_capacitance=scenario.clients.switched_capacitance,
            server_capacitance=scenario.server.switched_capacitance,
            batch_size=scenario.training.batch_size,
            round_timeout_s=scenario.episode.round_timeout_s,
            max_rounds=scenario.episode.max_rounds,
            time_budget_s=scenario.episode.time_budget_s,
            target_accuracy=scenario.episode.target_accuracy,
            on_demand=radio.sharing == "on-demand",
            clusters=scenario.training.clusters,
            program=program,
            highest_ratio=highest_ratio,
            codecs=scenario.plan.codecs[: program.plans.codecs],
            precisions=(precisions := scenario.plan.precisions[: program.plans.precisions]),
            batch_sizes=scenario.plan.batch_sizes or (scenario.training.batch_size,),
            energy_factors=tuple(scenario.clients.energy_factor(Level.read(each).bits) for each in precisions),
            labels_known=labels_known,
            prefix_bits=np.concatenate([[0.0], np.cumsum(workload.profile.model_bits[:-1])]),
            moved_bits=workload.precision.moved_bits(workload.profile),
            memory=memory,
            clock_decided=scenario.plan.clock == "decided",
            asynchrony=asynchrony,
            averaging_interval=scenario.fed_server.interval_rounds,
            averaging_decided=averaging_decided,
            energy_budget_j=scenario.budgets.energy_j,
            ways=Ways.of(scenario, program.servers),
            stations=tuple(row.name for row in scenario.stations),
            stations_on_a_subchannel=reuse,
        )

    @cached_property
    def open_lists(self) -> tuple[str, ...]:
        """Fields of `Decision` for which a scenario lists several values."""
        lists = {"codec": self.codecs, "precision": self.precisions, "batch_size": self.batch_sizes}
        placed = ("placement",) * (self.program.plans.placements > 1)
        return (*(name for name, choices in lists.items() if len(choices) > 1), *placed)

    @property
    def cut_layers(self) -> int:
        """Number of cut layers: L - 1, or fewer where clients hold tails."""
        return self.program.plans.cut_layers

    @property
    def averages_later(self) -> bool:
        """Whether rounds may end without the mean of clients' parts."""
        return self.program.plans.ways > 1

    @property
    def units(self) -> int:
        """L, units of the network."""
        return len(self.prefix_bits)

    def holding(self, codec: int, precision: int, batch_size: int | None = 0, placement: int = 0) -> "SystemParameters":
        """The system with one codec, one precision, one batch size and one placement alone; always the same object.

        Args:
            codec: Its index in the list.
            precision: Likewise.
            batch_size: 0: that of the scenario; None: they stay open.
            placement: Its index among those there are.
        """
        if not self.open_lists:
            return self
        return _holding(self, codec, precision, self.batch_size if batch_size == 0 else batch_size, placement)

    def with_subchannels(self, subchannels: int) -> "SystemParameters":
        """The system on a band of so many subchannels, with the same budgets; always the same object."""
        return self if subchannels == self.subchannels else _with_subchannels(self, subchannels)

    def coordinated(self) -> "SystemParameters":
        """The system in which each subchannel is used once in all cells together; always the same object."""
        return self if self.stations_on_a_subchannel == 1 else _coordinated(self)

    def synchronous(self) -> "SystemParameters":
        """The system whose rounds wait for all, with the same phases; always the same object."""
        return self if self.asynchrony is None else _synchronous(self)


@lru_cache(maxsize=128)  # As many as cells usually have, of some systems.
def _with_subchannels(system: SystemParameters, subchannels: int) -> SystemParameters:
    return replace(system, subchannels=subchannels)


@lru_cache(maxsize=32)
def _coordinated(system: SystemParameters) -> SystemParameters:
    subchannels = system.subchannels // system.stations_on_a_subchannel
    return replace(system, subchannels=subchannels, stations_on_a_subchannel=1)


@lru_cache(maxsize=32)
def _synchronous(system: SystemParameters) -> SystemParameters:
    return replace(system, asynchrony=None)


@lru_cache(maxsize=1024)  # As many as a scenario may have of one factor.
def _holding(
    system: SystemParameters, codec: int, precision: int, batch_size: int | None, placement: int
) -> SystemParameters:
    program, memory = system.program.holding(codec, precision, batch_size, placement), system.memory
    return replace(
        system,
        program=program,
        codecs=(system.codecs[codec],),
        precisions=(system.precisions[precision],),
        batch_size=system.batch_size if batch_size is None else batch_size,
        batch_sizes=system.batch_sizes if batch_size is None else (batch_size,),
        energy_factors=(system.energy_factors[precision],),
        moved_bits=system.moved_bits[[precision]],
        memory=memory and memory.holding(codec, precision, batch_size, placement, program.plans),
        ways=system.ways.to(placement),
    )
