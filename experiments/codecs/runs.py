"""One run: real training with codecs, and what its rounds would take with other bandwidths."""

import zlib
from dataclasses import replace

import numpy as np

from experiments.codecs.methods import CODECS, METHODS
from experiments.fixed_length import scenario_of
from experiments.running import Case, Row
from experiments.watched import watched
from splitgym.allocation import descent
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.timing import round_cost

PRESET = "narrowband"
PLAN = {"codecs": CODECS, "codec": "by-client"}
FACTORS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Bandwidths over that of the preset."""


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy over the rounds, bits that were sent, and simulated time with every bandwidth.

    Without a codec also what could be left out without any loss: the zeros behind the ReLU.
    """
    scenario, method = scenario_of(PRESET, case, PLAN), METHODS[case["method"]]
    lossless: dict[str, float] = {}
    framework = get("psl")
    if case["method"] == "none":
        framework = watched(framework, count_zeros, lossless, case["evaluate_every"])
    world = World(scenario, framework)
    world.reset([np.random.default_rng(seed)], [0])
    everybody = np.ones(scenario.clients.count, bool)
    samples = scenario.clients.count * scenario.training.batch_size
    bits, seconds, rows = 0.0, np.zeros(len(FACTORS)), []
    for number in range(1, case["rounds"] + 1):
        state = world.truth.world(0).copy()
        held = {"cut_layer": case["cut_layer"], "codec": method.decide(state, case["cut_layer"])}
        for place, factor in enumerate(FACTORS):
            wide = replace(state, subchannel_hz=factor * state.subchannel_hz)
            found = descent(wide, everybody, 0.0, **held).decision
            seconds[place] += round_cost(wide, found).latency_s
            if factor == 1.0:
                decision = found
        played = world.play(decision.batch())
        bits += float(played.cost.traffic_bits[0])
        if played.outcome.evaluated[0]:
            rows.append(
                {
                    "round": number,
                    "accuracy": float(played.outcome.accuracy[0]),
                    "bits_per_sample": bits / (number * samples),
                    **{f"seconds_{place}": float(each) for place, each in enumerate(seconds)},
                    **lossless,
                }
            )
    return rows


def count_zeros(nodes: Nodes, round_batch: RoundBatch) -> dict[str, float]:
    """Share of zeros in the smashed data of a round, their bits as they are, and what zlib makes of them."""
    smashed = run_clients([nodes.clients[i] for i in round_batch.participants], round_batch.images).smashed
    payloads = [own.detach().numpy().tobytes() for own in smashed]
    packed = sum(len(zlib.compress(payload, 9)) for payload in payloads)
    return {
        "zeros": float((smashed == 0).float().mean()),
        "numbers": float(smashed[0, 0].numel()),
        "packed": packed / sum(map(len, payloads)),
    }
