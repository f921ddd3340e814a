"""All that changes in the cells of N worlds, as arrays that are made once and written in place."""

from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.handover import Attachment, Rule
from splitgym.network.path_loss import is_shadowed
from splitgym.network.path_loss.compiled import number_of
from splitgym.network.path_loss.model import Antennas, antennas_of, model_of
from splitgym.network.wired import Ways
from splitgym.scenario import Range, Scenario
from splitgym.scenario.devices import devices_of

ALWAYS, NEVER, PROBABILISTIC = range(3)
SIGHTS = {"always": ALWAYS, "never": NEVER, "probabilistic": PROBABILISTIC}
"""Values of `cell.line_of_sight`."""


class NetworkState(NamedTuple):
    """N cells with C clients, S stations and M subchannels at the start of a round."""

    subchannel_hz: Floats
    """[N, M] bandwidths, Hz."""
    radius_m: Floats
    """[N] radius of the cell, m."""
    start_m: Floats
    """[N, C, 2] positions at the start of the episode, m."""
    heading_rad: Floats
    """[N, C] directions at the start of the episode, rad."""
    travelled_m: Floats
    """[N] way that every client of the world has walked, m."""
    driven_s: Floats
    """[N] seconds for which the clients have driven on a road."""
    speed_m_per_s: Floats
    """[N, C] with which they do."""
    position_m: Floats
    """[N, C, 2] positions now, m."""
    sight_chance: Floats
    """[N, S, C] uniform number: a client whose probability of line of sight to a station is higher has it."""
    sees: Bools
    """[N, S, C] line of sight; stays as at the start of the episode, also for clients that move, unless
    `Parameters.sight_follows`."""
    shadow: Floats
    """[N, S, C] shadowing in standard deviations."""
    gain: Floats
    """[N, S, C] antenna gains, path loss and shadowing, linear."""
    line_of_sight: Bools
    """[N, C] towards the client's own station, like all that follow."""
    large_scale_gain: Floats
    """[N, C] linear."""
    scatter: Floats
    """[N, 2, C, M] scattered part of the fading coefficients; M = 0 without fading."""
    channel_gain: Floats
    """[N, C, M] linear power gain, antenna gains included."""
    present: Bools
    """[N, C] clients that belong to the episode at all."""
    nominal_hz: Floats
    """[N, C] speed without other work, cycles/s."""
    latent_load: Floats
    """[N, C] standard normal; its distribution function gives the load."""
    client_hz: Floats
    """[N, C] speed that is left for training, cycles/s."""
    available: Bools
    """[N, C]"""
    believed_channel_gain: Floats
    """[N, C, M] linear; the true array where nothing is reported late or with errors."""
    believed_client_hz: Floats
    """[N, C] cycles/s; the true array where nothing is reported late."""
    believed_available: Bools
    """[N, C] as announced before the round: a client may have vanished since; the true array where nobody drops out."""
    coming_gain: Floats
    """[N, channel_delay_rounds, C, M] gains not yet reported, oldest first."""
    coming_hz: Floats
    """[N, compute_delay_rounds, C] speeds not yet reported, oldest first."""
    attachment: Attachment
    wired_s_per_bit: Floats
    """[N, C, F] seconds that a bit needs over wires between the client's station and a server."""

    @classmethod
    def empty(cls, scenario: Scenario, worlds: int, servers: int = 1) -> Self:
        """Arrays for N cells, with ways to F servers, that nobody has drawn yet."""
        knowledge, clients, subchannels = scenario.knowledge, scenario.clients.count, scenario.radio.subchannels
        of_clients, of_links = (worlds, clients), (worlds, clients, subchannels)
        stations = max(len(scenario.stations), 1)
        towards = worlds, stations, clients
        gain, client_hz, available = np.zeros(of_links), np.zeros(of_clients), np.zeros(of_clients, bool)
        late_or_wrong = knowledge.channel_delay_rounds > 0 or knowledge.channel_error_db > 0
        return cls(
            subchannel_hz=np.zeros((worlds, subchannels)),
            radius_m=np.zeros(worlds),
            start_m=np.zeros((*of_clients, 2)),
            heading_rad=np.zeros(of_clients),
            travelled_m=np.zeros(worlds),
            driven_s=np.zeros(worlds),
            speed_m_per_s=np.zeros(of_clients),
            position_m=np.zeros((*of_clients, 2)),
            sight_chance=np.zeros(towards),
            sees=np.zeros(towards, bool),
            shadow=np.zeros(towards),
            gain=np.zeros(towards),
            line_of_sight=np.zeros(of_clients, bool),
            large_scale_gain=np.zeros(of_clients),
            scatter=np.zeros((worlds, 2, clients, 0 if scenario.radio.fading == "none" else subchannels)),
            channel_gain=gain,
            present=np.zeros(of_clients, bool),
            nominal_hz=np.zeros(of_clients),
            latent_load=np.zeros(of_clients),
            client_hz=client_hz,
            available=available,
            believed_channel_gain=np.zeros(of_links) if late_or_wrong else gain,
            believed_client_hz=np.zeros(of_clients) if knowledge.compute_delay_rounds > 0 else client_hz,
            believed_available=np.zeros(of_clients, bool) if scenario.clients.dropout_probability > 0 else available,
            coming_gain=np.zeros((worlds, knowledge.channel_delay_rounds, clients, subchannels)),
            coming_hz=np.zeros((worlds, knowledge.compute_delay_rounds, clients)),
            attachment=Attachment.empty(worlds, stations, clients),
            wired_s_per_bit=np.zeros((*of_clients, servers)),
        )


class RoadParameters(NamedTuple):
    """The road that clients drive on."""

    length_m: float
    """0: they walk in the cell."""
    lanes: int
    lane_width_m: float
    speed_m_per_s: tuple[float, float]
    """Slowest and fastest client."""
    platoon_m: float
    """On how much of it all start, to drive together; 0: each by itself."""


class Parameters(NamedTuple):
    """What a scenario says of cells, for kernels. Pairs are the ends of what an episode draws, equal if it does not."""

    radius_m: tuple[float, float]
    min_distance_m: float
    subchannel_hz: tuple[float, float]
    moves: bool
    road: RoadParameters
    sight: int
    """A value of `SIGHTS`."""
    sight_follows: bool
    """Whether it begins and ends as clients move: on a road, or with several stations."""
    is_shadowed: bool
    path_loss: int
    """A number of `splitgym.network.path_loss.compiled`."""
    antennas: Antennas
    antenna_gain: float
    """G, linear."""
    deviation_db: tuple[float, float]
    """Of the shadowing, with and without line of sight."""
    rician_factor: float
    """Of links with line of sight, linear; 0: none has a dominant path."""
    fading_correlation: float
    clients: tuple[int, int]
    clients_log_uniform: bool
    """Whether the number of clients is log-uniform between them, or uniform."""
    compute_hz: tuple[float, float]
    """Slowest and fastest client."""
    measured_hz: Floats
    """[C] speeds of clients that are measured devices or whose speeds the scenario says; [0]: speeds are drawn."""
    log_uniform: bool
    """Whether speeds are log-uniform between them, or uniform."""
    compute_factor: tuple[float, float]
    load_max: float
    load_correlation: float
    """Of the latent Gaussian."""
    dropout_probability: float
    return_probability: float
    channel_error_db: float
    stations_m: Floats
    """[S, 2] positions of the stations, m."""
    nearest_m: float
    """Ground distance for which models of path loss hold, m; 0: nobody can be nearer than that."""
    station_gain: Floats
    """[S] what their antennas gain over `antenna_gain`, linear."""
    handover: Rule
    ways: Ways


class Cells(NamedTuple):
    """N cells for kernels."""

    state: NetworkState
    parameters: Parameters
    numbers: Floats
    """Workspace for random numbers."""


def parameters_of(scenario: Scenario, ways: Ways) -> Parameters:
    """The parameters of a scenario."""
    cell, radio, clients, family = scenario.cell, scenario.radio, scenario.clients, scenario.family
    road, stations = _road_of(scenario), scenario.stations
    return Parameters(
        radius_m=_between(family.radius_m, cell.radius_m),
        min_distance_m=cell.min_distance_m,
        subchannel_hz=_between(family.subchannel_hz, radio.subchannel_hz),
        moves=(road.speed_m_per_s[1] if road.length_m > 0 else cell.speed_m_per_s) > 0,
        road=road,
        sight=SIGHTS[cell.line_of_sight],
        sight_follows=road.length_m > 0 or len(stations) > 1,
        is_shadowed=is_shadowed(cell),
        path_loss=number_of(cell.path_loss),
        antennas=antennas_of(cell, radio.carrier_hz),
        antenna_gain=float(radio.antenna_gain),
        deviation_db=model_of(cell.path_loss).deviation_db if is_shadowed(cell) else (0.0, 0.0),
        rician_factor=10 ** (radio.rician_factor_db / 10) if radio.fading == "rician" else 0.0,
        fading_correlation=radio.fading_correlation,
        clients=(clients.count, clients.count) if family.clients is None else family.clients,
        clients_log_uniform=family.clients_spread == "log-uniform",
        compute_hz=(clients.compute_min_hz, clients.compute_max_hz),
        measured_hz=np.array(clients.speeds_hz or devices_of(clients).client_hz),
        log_uniform=clients.compute_spread == "log-uniform",
        compute_factor=_between(family.compute_factor, 1.0),
        load_max=clients.load_max,
        load_correlation=latent_correlation(clients.load_correlation),
        dropout_probability=clients.dropout_probability,
        return_probability=clients.return_probability,
        channel_error_db=scenario.knowledge.channel_error_db,
        stations_m=np.array([row.position_m for row in stations] or [(0.0, 0.0)]),
        nearest_m=cell.min_distance_m if stations or road.length_m > 0 else 0.0,
        station_gain=np.array([10 ** (row.gain_db / 10) for row in stations] or [1.0]),
        handover=Rule.of(scenario),
        ways=ways,
    )


def _road_of(scenario: Scenario) -> RoadParameters:
    road = scenario.road
    length_m = road.length_m if scenario.cell.mobility == "road" else 0.0
    speed_m_per_s = road.speed_min_m_per_s, road.speed_max_m_per_s
    return RoadParameters(length_m, road.lanes, road.lane_width_m, speed_m_per_s, road.platoon_m or 0.0)


def latent_correlation(load_correlation: float) -> float:
    """Correlation of two Gaussians whose distribution functions correlate by `load_correlation`: 2 sin(pi r / 6)."""
    return float(2 * np.sin(np.pi / 6 * load_correlation))


def _between(drawn: Range | None, otherwise: float) -> tuple[float, float]:
    lowest, highest = (otherwise, otherwise) if drawn is None else drawn
    return float(lowest), float(highest)
