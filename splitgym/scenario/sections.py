"""The sections of a scenario: one frozen model each, units in the field descriptions.

Powers are given in dBm and gains in dB where the field's name says so; properties give the same quantities in SI units,
and everything behind the scenario uses those.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from splitgym.scenario.errors import ScenarioError
from splitgym.scenario.parts import NETWORKS, PATH_LOSSES, known
from splitgym.scenario.quantities import (
    BatchSize,
    BitsPerSecond,
    Capacitance,
    CyclesPerFlop,
    Dbm,
    Delay,
    ErrorDb,
    Factor,
    Fraction,
    Gain,
    Hertz,
    LearningRate,
    LossDb,
    Metres,
    MetresPerSecond,
    NoiseDbmPerHz,
    Parties,
    RatioDb,
    Rounds,
    Samples,
    Seconds,
    Subchannels,
    Units,
)
from splitgym.scenario.section import Section


def watts(dbm: float) -> float:
    """Converts a power (dBm) or a power spectral density (dBm/Hz) to W or W/Hz."""
    return 10 ** ((dbm - 30) / 10)


class Cell(Section):
    """Where the clients are and what the way to the base station does to a signal."""

    radius_m: Metres = Field(200.0, description="Radius of the cell, m.")
    min_distance_m: Metres = Field(10.0, description="Smallest ground distance of a client to the base station, m.")
    base_station_height_m: Metres = Field(10.0, description="Antenna height of the base station, m.")
    client_height_m: Metres = Field(1.5, description="Antenna height of the clients, m.")
    speed_m_per_s: MetresPerSecond = Field(0.0, description="Speed of every client, m/s; 0: nobody moves.")
    path_loss: Annotated[str, AfterValidator(known(PATH_LOSSES))] = Field(
        "umi",
        description="Path loss: umi: 3GPP TR 38.901 UMi street canyon; mmwave-28ghz: the measurements of Akdeniz et "
        "al. (2014); constant: the same loss for everybody; or module:NAME of one's own.",
    )
    constant_loss_db: LossDb = Field(100.0, description="Path loss with path_loss='constant', dB.")
    line_of_sight: Literal["probabilistic", "always", "never"] = Field(
        "probabilistic", description="Whether a client sees the base station; probabilistic: by its distance."
    )
    shadowing: bool = Field(True, description="Log-normal shadowing with the deviation of the path-loss model.")

    @model_validator(mode="after")
    def _umi_antennas_are_above_traffic(self) -> "Cell":
        for name in ("base_station_height_m", "client_height_m"):
            if self.path_loss == "umi" and getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} = {getattr(self, name):g} must exceed 1 m, the height of traffic in path_loss 'umi'"
                )
        return self

    @model_validator(mode="after")
    def _ring_exists(self) -> "Cell":
        if self.min_distance_m >= self.radius_m:
            raise ValueError(
                f"min_distance_m = {self.min_distance_m} must be smaller than radius_m = {self.radius_m}, "
                "or there is no place for a client"
            )
        return self


class Radio(Section):
    """Spectrum, powers, small-scale fading, and how clients share."""

    carrier_hz: Hertz = Field(3.5e9, description="Carrier frequency, Hz.")
    subchannels: Subchannels = Field(20, description="Number of subchannels M.")
    subchannel_hz: Hertz = Field(10e6, description="Bandwidth B of a subchannel, Hz.")
    noise_psd_dbm_per_hz: NoiseDbmPerHz = Field(-174.0, description="Noise power spectral density N0, dBm/Hz.")
    antenna_gain: Gain = Field(1.0, description="Product G of the antenna gains, linear (no unit).")
    client_power_max_dbm: Dbm = Field(23.0, description="Transmit power budget p_max of each client, dBm.")
    total_power_max_dbm: Dbm = Field(40.0, description="Transmit power budget p_th of all clients together, dBm.")
    downlink_psd_dbm_per_hz: Dbm = Field(-50.0, description="Transmit PSD p_DL of the base station, dBm/Hz.")
    fading: Literal["none", "rayleigh", "rician"] = Field(
        "rayleigh", description="Block fading; rician: on links with line of sight, the others are Rayleigh."
    )
    rician_factor_db: RatioDb = Field(9.0, description="Rician K factor, dB.")
    fading_correlation: Fraction = Field(
        0.9, description="Correlation of the complex fading coefficient from one round to the next."
    )
    sharing: Literal["static", "on-demand"] = Field(
        "static",
        description="on-demand: who sends or receives is lent the subchannels and the power that nobody needs at that "
        "moment, and the server works for whose data is there, where it need not have everybody's.",
    )

    @property
    def noise_psd_w_per_hz(self) -> float:
        """N0 in W/Hz."""
        return watts(self.noise_psd_dbm_per_hz)

    @property
    def client_power_max_w(self) -> float:
        """p_max in W."""
        return watts(self.client_power_max_dbm)

    @property
    def total_power_max_w(self) -> float:
        """p_th in W."""
        return watts(self.total_power_max_dbm)

    @property
    def downlink_psd_w_per_hz(self) -> float:
        """p_DL in W/Hz."""
        return watts(self.downlink_psd_dbm_per_hz)


class Clients(Section):
    """The devices that hold the data."""

    count: Parties = Field(5, description="Number of clients C.")
    compute_min_hz: Hertz = Field(1.0e9, description="Slowest client, cycles/s.")
    compute_max_hz: Hertz = Field(1.6e9, description="Fastest client, cycles/s.")
    compute_spread: Literal["uniform", "log-uniform"] = Field(
        "uniform", description="How the clients' speeds lie between slowest and fastest."
    )
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 16, description="kappa_c, cycles/FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-28, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    load_max: float = Field(
        0.0, ge=0, lt=1, description="Other work takes a share of the processor between 0 and this, fluctuating."
    )
    load_correlation: Fraction = Field(0.9, description="Correlation of that share from one round to the next.")
    dropout_probability: Fraction = Field(0.0, description="Probability that an available client drops out.")
    return_probability: float = Field(0.5, gt=0, le=1, description="Probability that a client that is away comes back.")

    @model_validator(mode="after")
    def _speeds_are_ordered(self) -> "Clients":
        if self.compute_min_hz > self.compute_max_hz:
            raise ValueError(
                f"compute_min_hz = {self.compute_min_hz:g} must not exceed compute_max_hz = {self.compute_max_hz:g}"
            )
        return self


class Server(Section):
    """The edge server."""

    compute_hz: Hertz = Field(5e9, description="Speed f_s, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 32, description="kappa_s, cycles/FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-29, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )


class Cloud(Section):
    """A cloud behind the edge server, which trains the last units with framework 'hierarchical'."""

    compute_hz: Hertz = Field(20e9, description="Speed, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(1.0 / 32, description="Cycles of the cloud per FLOP.")
    switched_capacitance: Capacitance = Field(
        1e-30, description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    link_bits_per_s: BitsPerSecond = Field(
        100e6, description="Rate of the link between edge server and cloud in each direction, bits/s."
    )
    cut_layer: Units = Field(
        2,
        description="Last unit on the edge server, which stays there; of a cut layer behind it all units are in the "
        "cloud, and the edge server only passes data on.",
    )

    def second_cut(self, units: int) -> int:
        """`cut_layer`, of a network of so many units.

        Raises:
            ScenarioError: no unit is left for the cloud.
        """
        if self.cut_layer >= units:
            raise ScenarioError(
                f"cloud.cut_layer = {self.cut_layer}: allowed are 0 to {units - 1} with a network of {units} units, "
                "so that the cloud has the last one"
            )
        return self.cut_layer


class Knowledge(Section):
    """What the scheduler believes, where that differs from what the round runs on."""

    channel_delay_rounds: Delay = Field(0, description="Age of the channel knowledge, rounds.")
    channel_error_db: ErrorDb = Field(0.0, description="Standard deviation of the channel estimate, dB.")
    compute_delay_rounds: Delay = Field(0, description="Age of the knowledge of the clients' speeds, rounds.")


def _known_dataset(name: str) -> str:
    if name not in ("digits", "mnist", "ham10000") and not name.endswith(".npz") and not all(name.partition(":")):
        raise ValueError("allowed: 'digits', 'mnist' or 'ham10000', the path of an .npz file, or 'module:NAME'")
    return name


class Task(Section):
    """What is learnt, by which network, and how the data lies at the clients."""

    dataset: Annotated[str, AfterValidator(_known_dataset)] = Field(
        "digits",
        description="digits: inside scikit-learn; mnist, ham10000: files under SPLITGYM_DATA; the path of an .npz "
        "file, see `splitgym.data.load`; or module:NAME of a function that makes one's own `splitgym.data.Source`.",
    )
    model: Annotated[str, AfterValidator(known(NETWORKS))] = Field(
        "cnn", description="Network that is cut in two: resnet18, cnn, mlp, or module:NAME of one's own."
    )
    stem: Literal["7x7", "3x3"] = Field("7x7", description="First convolution of resnet18; 3x3: stride 1, no pooling.")
    partition: Literal["iid", "dirichlet", "shards"] = Field("iid", description="How the clients share the data.")
    dirichlet_alpha: Factor = Field(0.5, description="Concentration of partition='dirichlet'; smaller: more skew.")
    shards_per_client: Samples = Field(2, description="Label shards a client gets with partition='shards'.")
    augmentation: Literal["none", "symmetries"] = Field(
        "none", description="symmetries: training images are mirrored and transposed by chance."
    )
    train_samples: Samples | None = Field(None, description="Use at most so many training samples; absent: all.")
    test_fraction: float = Field(0.2, gt=0, lt=1, description="Share of the data kept for the test.")
    evaluation_samples: Samples | None = Field(
        None,
        description="Measure accuracy on a fixed part of the test set of so many samples; absent: all of it.",
    )
    evaluate_every: Rounds = Field(1, description="Measure accuracy every so many rounds.")


class Training(Section):
    """How the parties train."""

    batch_size: BatchSize = Field(64, description="Samples b of a client's mini-batch.")
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="Optimiser of the clients and of the server.")
    client_learning_rate: LearningRate = Field(0.02, description="Learning rate of the clients' parts.")
    server_learning_rate: LearningRate = Field(0.02, description="Learning rate of the server's part.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD (beta_1 of Adam).")
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = Field(0.0, description="Weight decay.")
    aggregation_ratio: Fraction = Field(0.5, description="phi that schedulers use which do not choose one themselves.")
    aggregation_reading: Literal["virtual", "inject"] = Field(
        "virtual",
        description="Aggregated gradients go back through the mean field of all clients' rows (virtual, m rows) or at "
        "every client's own row (inject, the exact reference, n m rows).",
    )
    aggregation_correction: Literal["none", "unbiased"] = Field(
        "none", description="unbiased: scale aggregated rows by 1 / sum lambda_i^2."
    )
    batch_statistics: Literal["joint", "per-client"] = Field(
        "joint",
        description="Batch norm on the server of psl, epsl and their kin normalises the rows of all clients together "
        "or each client's by themselves; the other frameworks leave no choice.",
    )
    local_steps: BatchSize = Field(1, description="Mini-batches of each client in a round of framework 'fl'.")
    clusters: Parties = Field(2, description="Number of clusters of framework 'cpsl'.")
    switch_round: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = Field(
        None,
        description="Framework 'epsl-pt' aggregates in so many rounds; absent: until the loss stands still.",
    )
    plateau_rounds: Rounds = Field(
        20,
        description="The loss stands still when its mean over so many rounds is not 1 % below that of as many before.",
    )
    learning_rate_schedule: Literal["constant", "one-cycle"] = Field(
        "constant", description="one-cycle: up to the learning rates and down to nothing within schedule_rounds."
    )
    schedule_rounds: Rounds = Field(600, description="Rounds of learning_rate_schedule='one-cycle'.")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16: mixed precision, where the processor has it; weights stay in fp32."
    )


class Episode(Section):
    """When an episode ends."""

    target_accuracy: float = Field(0.8, gt=0, le=1, description="Test accuracy that ends the episode (termination).")
    stop_at_target: bool = Field(True, description="False: go on after the target, until a budget is spent.")
    max_rounds: Rounds = Field(400, description="Budget of rounds (truncation).")
    time_budget_s: Seconds = Field(600.0, description="Budget of simulated time, s (truncation).")
    round_timeout_s: Seconds = Field(
        60.0,
        description="Who has not finished the uplink by then, counted from the begin of the round (of its slot, in "
        "frameworks with slots), is left out, s.",
    )


class Actions(Section):
    """What the discrete action encodings can say."""

    aggregation_levels: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0), min_length=1, max_length=1000, description="Values of phi to choose from."
    )
    power_levels: tuple[float, ...] = Field(
        (0.0625, 0.125, 0.25, 0.5, 1.0),
        min_length=1,
        max_length=1000,
        description="Transmit powers on a subchannel to choose from, as shares of the client's power budget.",
    )

    @model_validator(mode="after")
    def _levels_are_shares(self) -> "Actions":
        for name in ("aggregation_levels", "power_levels"):
            levels = getattr(self, name)
            if list(levels) != sorted(set(levels)) or levels[0] < 0 or levels[-1] > 1:
                raise ValueError(f"{name} = {levels} must be increasing values between 0 and 1")
        return self


class Family(Section):
    """What every episode draws for itself; what is absent is as the other sections say."""

    clients: tuple[Parties, Parties] | None = Field(
        None, description="Fewest and most clients, drawn uniformly; the others of clients.count are absent."
    )
    compute_factor: tuple[Factor, Factor] | None = Field(
        None, description="Factor on the speeds of all clients, drawn log-uniformly (no unit)."
    )
    radius_m: tuple[Metres, Metres] | None = Field(None, description="Radius of the cell, drawn uniformly, m.")
    subchannel_hz: tuple[Hertz, Hertz] | None = Field(
        None, description="Bandwidth of a subchannel, drawn log-uniformly, Hz."
    )
    dirichlet_alpha: tuple[Factor, Factor] | None = Field(
        None, description="Concentration of the partition, drawn log-uniformly."
    )

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> "Family":
        for name in type(self).model_fields:
            drawn = getattr(self, name)
            if drawn is not None and not 0 < drawn[0] <= drawn[1]:
                raise ValueError(f"{name} = {list(drawn)} must be two positive values, the lower one first")
        return self
