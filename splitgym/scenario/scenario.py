"""The scenario: all sections together."""

import tomli_w
from pydantic import Field, model_validator

from splitgym.parts import suggest
from splitgym.scenario.names import Name
from splitgym.scenario.nodes import SERVER, LinkRow, NodeRow, check_links, links_of, nodes_of
from splitgym.scenario.quantities import FULL_BITS
from splitgym.scenario.section import Section
from splitgym.scenario.sections import (
    Actions,
    Budgets,
    Cell,
    Clients,
    Cloud,
    Episode,
    Family,
    FedServer,
    Handover,
    Knowledge,
    Placements,
    Plan,
    Radio,
    Road,
    Server,
    Task,
    Training,
)
from splitgym.scenario.stations import StationRow, check_stations, stations_on_a_subchannel
from splitgym.scenario.text import check_text

MOST_GAINS = 10_000_000
"""Channel gains or speeds that a world keeps, 80 MB."""
MOST_ROWS = 10_000_000
"""Samples in all mini-batches of a round."""


class Scenario(Section):
    """A world to train in; frozen, and equal to what its JSON or TOML form gives back.

    Errors:
        An unknown field, a value out of range or a contradiction between fields raises `pydantic.ValidationError`
        here and the one-line `ScenarioError` through `splitgym.scenario.load` and `build`.
    """

    name: Name = Field("custom", description="Name that tables, plots and files have.")
    description: str = Field("", max_length=2000, description="One sentence on what the scenario stands for.")
    cell: Cell = Field(Cell(), description="Geometry and path loss.")
    radio: Radio = Field(Radio(), description="Spectrum, powers, fading.")
    clients: Clients = Field(Clients(), description="The devices.")
    server: Server = Field(Server(), description="The edge server.")
    cloud: Cloud = Field(Cloud(), description="The cloud behind it, with framework 'hierarchical'.")
    fed_server: FedServer = Field(FedServer(), description="Who averages in split federated learning, and how often.")
    nodes: tuple[NodeRow, ...] = Field(
        (), max_length=100, description="Further processors, for frameworks that train there."
    )
    links: tuple[LinkRow, ...] = Field((), max_length=100, description="Further wired links, one between two places.")
    placement: Placements = Field(
        Placements(), description="Paths of nodes behind the cut, with framework 'multi-hop'."
    )
    stations: tuple[StationRow, ...] = Field(
        (), max_length=100, description="Base stations; none: one in the origin, beside node 'server'."
    )
    handover: Handover = Field(Handover(), description="When a client changes its station.")
    road: Road = Field(Road(), description="The road, with cell.mobility 'road'.")
    knowledge: Knowledge = Field(Knowledge(), description="What the scheduler believes.")
    plan: Plan = Field(Plan(), description="Factors of the plan that may be decided.")
    task: Task = Field(Task(), description="Data, network, partition.")
    training: Training = Field(Training(), description="Optimisers and gradient aggregation.")
    episode: Episode = Field(Episode(), description="Target and budgets.")
    budgets: Budgets = Field(Budgets(), description="What costs count against, apart from the reward.")
    actions: Actions = Field(Actions(), description="Levels of the discrete action encodings.")
    family: Family = Field(Family(), description="What every episode draws for itself, from which ranges.")

    @model_validator(mode="after")
    def _mmwave_needs_its_band(self) -> "Scenario":
        """The 28 GHz path loss is for its own band."""
        if self.cell.path_loss == "mmwave-28ghz" and not 24e9 <= self.radio.carrier_hz <= 30e9:
            raise ValueError(
                f"radio.carrier_hz = {self.radio.carrier_hz:g}: cell.path_loss 'mmwave-28ghz' was measured at 28 GHz "
                "and is allowed from 24e9 to 30e9 Hz; use 'umi' elsewhere"
            )
        return self

    @model_validator(mode="after")
    def _links_are_not_parallel(self) -> "Scenario":
        """Placements, paths and units that move take the same link between two nodes."""
        check_links(self)
        return self

    @model_validator(mode="after")
    def _trace_is_all_that_is_known_of_the_channel(self) -> "Scenario":
        """A trace has the gains to one station, as they are."""
        told = {
            "knowledge.channel_delay_rounds": self.knowledge.channel_delay_rounds,
            "knowledge.channel_error_db": self.knowledge.channel_error_db,
            "number of stations": len(self.stations),
        }
        for name, value in told.items():
            if self.radio.trace is not None and value:
                raise ValueError(f"{name} = {value:g} with radio.trace, allowed: 0")
        return self

    @model_validator(mode="after")
    def _stations_are_joined(self) -> "Scenario":
        """Stations have names and places of their own, and wired ways to the edge server."""
        check_stations(self)
        return self

    @model_validator(mode="after")
    def _road_takes_the_place_of_the_ring(self) -> "Scenario":
        """What is said of walks in the cell would not count on a road."""
        if self.cell.mobility == "road" and self.cell.speed_m_per_s > 0:
            raise ValueError(
                f"cell.speed_m_per_s = {self.cell.speed_m_per_s:g} with cell.mobility = 'road', allowed: 0, and "
                "road.speed_min_m_per_s and road.speed_max_m_per_s"
            )
        if self.cell.mobility == "road" and self.family.radius_m is not None:
            raise ValueError(
                f"family.radius_m = {list(self.family.radius_m)} with cell.mobility = 'road', allowed: none"
            )
        return self

    @model_validator(mode="after")
    def _fed_server_is_linked(self) -> "Scenario":
        """The fed server is beside the edge server, or a link leads there."""
        node = self.fed_server.node
        known = (SERVER, *(row.name for row in nodes_of(self)))
        if node not in known:
            raise ValueError(f"fed_server.node = {node!r} is unknown, {suggest(node, known)}")
        if node != SERVER and not any({node, SERVER} == set(link.ends) for link in links_of(self)):
            raise ValueError(f"fed_server.node = {node!r}: no row of links has the ends {SERVER!r} and {node!r}")
        return self

    @model_validator(mode="after")
    def _batch_norm_needs_two_samples(self) -> "Scenario":
        listed = self.plan.batch_sizes
        sizes = ("training.batch_size", self.training.batch_size), ("plan.batch_sizes", min(listed, default=2))
        for name, least in sizes if self.task.model == "resnet18" else ():
            if least < 2:
                raise ValueError(f"{name} = {least}: batch norm of task.model 'resnet18' needs at least 2")
        return self

    @model_validator(mode="after")
    def _usual_batch_size_may_be_decided(self) -> "Scenario":
        """Schedulers that do not choose a batch size have one that is allowed."""
        listed, usual = self.plan.batch_sizes, self.training.batch_size
        if listed and not listed[0] <= usual <= listed[-1]:
            raise ValueError(
                f"training.batch_size = {usual}, that of schedulers that choose none, with plan.batch_sizes = "
                f"{list(listed)}, allowed: {listed[0]}..{listed[-1]}"
            )
        return self

    @model_validator(mode="after")
    def _profiles_are_of_full_precision(self) -> "Scenario":
        """Devices were measured with 32 bits and all channels."""
        if self.clients.profile and self.plan.precisions != (FULL_BITS,):
            raise ValueError(
                f"plan.precisions = {list(self.plan.precisions)} with clients.profile, which is of {FULL_BITS} bits, "
                f"allowed: [{FULL_BITS}]"
            )
        return self

    @model_validator(mode="after")
    def _gains_fit_into_memory(self) -> "Scenario":
        """Channel gains, with those of the past, are at most `MOST_GAINS`."""
        clients, subchannels = self.clients.count, self.radio.subchannels
        delay, stations = self.knowledge.channel_delay_rounds, stations_on_a_subchannel(self)
        gains = clients * subchannels * stations * (1 + delay)
        if gains > MOST_GAINS:
            raise ValueError(
                f"clients.count = {clients} times radio.subchannels = {subchannels}, now and in the last "
                f"knowledge.channel_delay_rounds = {delay} rounds, are {gains} channel gains, allowed: up to "
                f"{MOST_GAINS}"
            )
        return self

    @model_validator(mode="after")
    def _speeds_fit_into_memory(self) -> "Scenario":
        """Speeds, with those of the past, are at most `MOST_GAINS`."""
        clients, delay = self.clients.count, self.knowledge.compute_delay_rounds
        if clients * (1 + delay) > MOST_GAINS:
            raise ValueError(
                f"clients.count = {clients}, now and in the last knowledge.compute_delay_rounds = {delay} rounds, are "
                f"{clients * (1 + delay)} speeds, allowed: up to {MOST_GAINS}"
            )
        return self

    @model_validator(mode="after")
    def _rows_fit_into_memory(self) -> "Scenario":
        """Samples of a round are at most `MOST_ROWS`."""
        clients, training = self.clients.count, self.training
        largest = max(self.plan.batch_sizes, default=training.batch_size)
        rows = clients * largest * training.local_steps
        if rows > MOST_ROWS:
            name = "plan.batch_sizes up to" if self.plan.batch_sizes else "training.batch_size ="
            raise ValueError(
                f"clients.count = {clients} times {name} {largest} times "
                f"training.local_steps = {training.local_steps} are {rows} samples in a round, allowed: up to "
                f"{MOST_ROWS}"
            )
        return self

    @model_validator(mode="after")
    def _text_is_for_the_transformer(self) -> "Scenario":
        """A text has one network, and not everything that images have."""
        check_text(self)
        return self

    @model_validator(mode="after")
    def _family_fits(self) -> "Scenario":
        """Ranges that episodes draw from fit the other sections."""
        family = self.family
        if family.clients is not None and family.clients[1] > self.clients.count:
            raise ValueError(
                f"family.clients = {list(family.clients)} must not exceed clients.count = {self.clients.count}"
            )
        if family.radius_m is not None and family.radius_m[0] <= self.cell.min_distance_m:
            raise ValueError(
                f"family.radius_m = {list(family.radius_m)} must exceed "
                f"cell.min_distance_m = {self.cell.min_distance_m:g}"
            )
        if family.dirichlet_alpha is not None and self.task.partition != "dirichlet":
            raise ValueError(f"family.dirichlet_alpha needs task.partition = 'dirichlet', not {self.task.partition!r}")
        return self

    def to_toml(self) -> str:
        """The scenario as TOML; fields that are absent (None) are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
