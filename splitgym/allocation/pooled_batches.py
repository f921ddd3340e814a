"""Batch sizes as if a global mini-batch were drawn from the pooled data of all selected clients, without replacement.

That is global sampling, GPSL (Kohankhaki, Ayad, Barhoush and Schmeink, arXiv 2407.15738): the server fixes the rows of
a round and draws how many come from each client; which samples these are each client draws by itself. The rows are then
those of centralised training, whoever has which data: client i with l_i samples left is expected to have the share
l_i / sum l of them. Where clients weigh by their rows (`training.weigh_by`), a round of PSL learns from the mean over
all.
"""

import numpy as np

from splitgym.arrays import Bools, Ints
from splitgym.inputs import InputError
from splitgym.types import RoundState
from splitgym.types.checks import shown
from splitgym.types.legal import check_arguments


def pooled_batch_sizes(state: RoundState, selected: Bools, global_batch: int, rng: np.random.Generator) -> Ints:
    """Draws how many rows of a global mini-batch come from each client.

    Samples that clients have left of their data (`RoundState.samples_left`) are drawn without replacement; when those
    of all clients are drawn, all of them begin again with all of their data. Rows are drawn in blocks of the smallest
    batch size, 1 as a rule. A client that would have more than the largest batch size has that one, and the others the
    rest.

    Args:
        state: Of one world, as the scheduler believes it, with batch sizes of the clients' own.
        selected: [C] clients that shall participate; those that are not available have no rows.
        global_batch: Rows of the round, a multiple of the smallest batch size.
        rng: Draws them.

    Returns:
        [C] rows of each client, 0 for those that have none; they sum to the global batch, or to as many as all clients
        may have.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected)
    grid, sizes = state.system.program.plans, np.zeros(len(selected), np.int64)
    if not grid.batch_by_client:
        raise InputError("batch sizes of a state whose scenario has none of the clients' own, allowed: with them")
    if type(global_batch) is not int or global_batch < 0 or global_batch % grid.smallest_batch:
        raise InputError(
            f"global_batch = {shown(global_batch)}, allowed: a multiple of {grid.smallest_batch}, at least 0"
        )
    clients, block = np.flatnonzero(selected & state.available), grid.smallest_batch
    most, blocks = grid.largest_batch // block, np.zeros(len(clients), np.int64)
    left, of_pass = state.samples_left[clients] // block, np.maximum(state.samples[clients] // block, 1)
    wanted = min(global_batch // block, most * len(clients))
    while wanted > 0:
        pool = np.where(blocks < most, left, 0)
        if not pool.any():
            left = left + of_pass
            continue
        drawn = rng.multivariate_hypergeometric(pool, min(wanted, int(pool.sum())))
        drawn = np.minimum(drawn, most - blocks)
        blocks, left, wanted = blocks + drawn, left - drawn, wanted - int(drawn.sum())
    sizes[clients] = blocks * block
    return sizes
