"""What phases at the edge server wait for."""

from dataclasses import replace

import numpy as np

from splitgym.frameworks import Barrier, Program, Resource


def with_barriers(program: Program, by_client: bool) -> Program:
    """The program with an edge server that works for each client by itself, or waits for all."""
    at_server = program.resource == Resource.SERVER
    return replace(program, barrier=np.where(at_server & by_client, Barrier.NONE, Barrier.ALL))


def barriers_at_server(program: Program) -> set[int]:
    return set(program.barrier[program.resource == Resource.SERVER].tolist())
