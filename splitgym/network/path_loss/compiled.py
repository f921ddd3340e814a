"""The shipped models for kernels, by number."""

from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import NEPERS_PER_DB, exp
from splitgym.network.path_loss import constant, mmwave_28ghz, umi
from splitgym.network.path_loss.model import Antennas, model_of

OWN, CONSTANT, MMWAVE, UMI = range(4)
NUMBERS = {id(constant.MODEL): CONSTANT, id(mmwave_28ghz.MODEL): MMWAVE, id(umi.MODEL): UMI}


def number_of(name: str) -> int:
    """The number of a model; OWN if it is not shipped."""
    return NUMBERS.get(id(model_of(name)), OWN)


@kernel(INLINED)
def sight_probability(model: int, ground_distance_m: float) -> float:
    """Probability that a client sees the base station."""
    if model == UMI:
        return umi.line_of_sight_probability(ground_distance_m)
    if model == MMWAVE:
        return mmwave_28ghz.line_of_sight_probability(ground_distance_m)
    return constant.line_of_sight_probability(ground_distance_m)


@kernel(INLINED)
def loss_gain(model: int, antennas: Antennas, ground_distance_m: float, sees: bool, shadow_db: float) -> float:
    """10^(-(PL + shadowing) / 10), linear."""
    if model == UMI:
        loss_db = umi.loss_db(antennas, ground_distance_m, sees)
    elif model == MMWAVE:
        loss_db = mmwave_28ghz.loss_db(antennas, ground_distance_m, sees)
    else:
        loss_db = constant.loss_db(antennas, ground_distance_m, sees)
    return exp(-NEPERS_PER_DB * (loss_db + shadow_db))
