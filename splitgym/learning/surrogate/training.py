"""What a round teaches those who take part, and whom it leaves behind."""

import numpy as np
from numba import njit

from splitgym.learning.surrogate.links import answers, limited
from splitgym.learning.surrogate.parameters import Floats, Parameters
from splitgym.learning.surrogate.worlds import Bools, Worlds


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def train(
    worlds: Worlds,
    n: int,
    participants: Bools,
    aggregated: float,
    loss_normals: Floats,
    p: Parameters,
    right: Floats,
    weight: Floats,
    probability: Floats,
) -> None:
    """Trains world n once.

    A class's skill grows with the errors on its samples, in the server's units with those of all participants and in
    a client's units with its own. It grows the faster, the more the network knows already, and hardly where the
    mini-batches have few classes or their gradients are averaged over clients.

    Args:
        worlds: Changed in place.
        n: The world.
        participants: [C], at least one.
        aggregated: Share of the rows whose last-layer gradients are averaged.
        loss_normals: [C] standard normals.
        p: Of the law, by cut layer.
        right: [C, K] scratch: logits of the right classes.
        weight: [C, K] scratch: as in `answers`.
        probability: [C, K] scratch: as in `answers`.
    """
    clients, classes = weight.shape
    cut = worlds.cut_layer[n]
    in_client = p.client_share[cut]
    total = 0.0
    for c in range(clients):
        if participants[c]:
            total += worlds.data_share[n, c]
    concentration = evenness = known = 0.0
    for c in range(clients):
        if participants[c]:
            part = worlds.data_share[n, c] / total
            concentration += part * part
            evenness += part * worlds.evenness[n, c] ** p.kept_by_evenness
            for k in range(classes):
                own = worlds.own_skill[n, c, k] - worlds.behind[n, c]
                right[c, k] = in_client * own + (1.0 - in_client) * worlds.skill[n, k]
                known += part * max(right[c, k], 0.0) / classes
    if concentration > 1.0 - 1e-9:
        # One client alone has nothing to average.
        aggregated = 0.0
    kept = concentration**p.kept_by_number
    pace = classes * worlds.luck[n] * (p.openness + known) ** p.take_off
    in_server = 1.0 - aggregated + aggregated * min(p.kept_by_server[cut] * kept * evenness, 1.0)
    in_server *= pace * p.server_speed[cut] / (1.0 + p.few * concentration)
    mass_squares = 0.0
    for k in range(classes):
        mass = 0.0
        for c in range(clients):
            if participants[c]:
                mass += worlds.data_share[n, c] / total * worlds.class_share[n, c, k]
        mass_squares += mass * mass
    diversity = (1.0 / (classes * mass_squares)) ** p.skew
    gain = np.zeros(classes)
    worlds.loss[n] = 0.0
    for c in range(clients):
        if not participants[c]:
            continue
        part = worlds.data_share[n, c] / total
        weights = answers(right[c], worlds.habit[n, c], 1.0, weight[c], probability[c])
        hit = wrong = 0.0
        for k in range(classes):
            share = worlds.class_share[n, c, k]
            hit += share * probability[c, k]
            wrong += share * (1.0 - probability[c, k]) / (weights - weight[c, k])
        kept_by_client = min(p.kept_by_client * kept * worlds.evenness[n, c] ** p.kept_by_evenness, 1.0)
        own_pace = pace * (1.0 - aggregated + aggregated * kept_by_client)
        for k in range(classes):
            error = worlds.class_share[n, c, k] * (1.0 - probability[c, k])
            in_favour = weight[c, k] * (wrong - error / (weights - weight[c, k]))
            worlds.own_skill[n, c, k] += (
                limited(own_pace * p.client_speed[cut] * error) - p.decay * worlds.own_skill[n, c, k]
            )
            worlds.habit[n, c, k] += (
                limited(own_pace * p.habit_speed * (error - in_favour)) - p.decay * worlds.habit[n, c, k]
            )
            gain[k] += part * (error * diversity - p.confusion * in_favour)
        worlds.behind[n, c] *= 1.0 - p.returning
        noise = np.exp(p.loss_noise * (loss_normals[c] - 0.5 * p.loss_noise))
        worlds.client_loss[n, c] = -np.log(max(hit, 1e-9)) * noise
        worlds.loss[n] += part * worlds.client_loss[n, c]
    moved = 0.0
    for k in range(classes):
        step = limited(in_server * gain[k])
        moved += abs(step) / classes
        worlds.skill[n, k] += step - p.decay * worlds.skill[n, k]
    for c in range(clients):
        if not participants[c]:
            worlds.behind[n, c] += p.drift * moved
