"""What a round teaches its participants, and which clients fall behind."""

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import exp, ln, power
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.probabilities import answer, limited
from splitgym.learning.surrogate.worlds import Scratch, Worlds


@kernel(INLINED, fastmath=True)
def train(
    worlds: Worlds,
    n: int,
    part: Floats,
    aggregated: float,
    loss_normals: Floats,
    p: Parameters,
    room: Scratch,
) -> None:
    """Trains world n once.

    A class's skill grows with the errors on its samples, in the server's units with those of all participants and in
    a client's units with its own. It grows the faster, the more the network knows already, and hardly where the
    mini-batches have few classes or their gradients are averaged over clients.

    Args:
        worlds: Changed in place.
        n: The world.
        part: [C] fraction of each client in the data of the participants; 0: it is none.
        aggregated: Fraction of the rows whose last-layer gradients are averaged.
        loss_normals: [C] standard normals.
        p: Of the dynamics, by cut layer.
        room: Workspace.
    """
    known = _look(worlds, n, part, p, room.right, room.weight)
    answer(room.right, room.weight, room.others)
    concentration, evenness, diversity = _mix(worlds, n, part, p)
    # One client alone has nothing to average.
    averaged = aggregated if concentration < 1.0 - 1e-9 else 0.0
    kept = power(concentration, p.kept_by_number) if averaged > 0.0 else 1.0
    pace = room.gain.shape[0] * worlds.run_effect[n] * power(p.initial_rate + known, p.take_off)
    gain, hit = room.gain, room.hit
    for k in range(len(gain)):
        gain[k] = 0.0
    for c in range(len(part)):
        if part[c] > 0.0:
            left = 1.0 - averaged + averaged * min(p.kept_by_client * kept * worlds.evenness[n, c], 1.0)
            hit[c] = _teach(worlds, n, c, pace * left, diversity, p, room)
            others = room.others[c]
            for k in range(len(gain)):
                gain[k] += part[c] * others[k]
            worlds.behind[n, c] *= 1.0 - p.returning
    _note_losses(worlds, n, part, hit, room.loss, loss_normals, p.loss_noise)
    left = 1.0 - averaged + averaged * min(p.kept_by_server[worlds.cut_layer[n]] * kept * evenness, 1.0)
    speed = left * pace * p.server_speed[worlds.cut_layer[n]] / (1.0 + p.few_client_penalty * concentration)
    moved = 0.0
    for k in range(len(gain)):
        step = limited(speed * gain[k])
        moved += abs(step) / len(gain)
        worlds.skill[n, k] += step - p.decay * worlds.skill[n, k]
    for c in range(len(part)):
        if part[c] == 0.0:
            worlds.behind[n, c] += p.drift * moved


@kernel(INLINED, fastmath=True)
def _note_losses(
    worlds: Worlds, n: int, part: Floats, hit: Floats, losses: Floats, normals: Floats, deviation: float
) -> None:
    """Losses of the mini-batches, by how likely their samples are recognised, [C], into [C]."""
    clients = len(part)
    for c in range(clients):
        losses[c] = exp(deviation * (normals[c] - 0.5 * deviation))
    for c in range(clients):
        losses[c] *= -ln(max(hit[c], 1e-9))
    loss = 0.0
    for c in range(clients):
        if part[c] > 0.0:
            worlds.client_loss[n, c] = losses[c]
            loss += part[c] * losses[c]
    worlds.loss[n] = loss


@kernel(INLINED, fastmath=True)
def _look(worlds: Worlds, n: int, part: Floats, p: Parameters, right: Floats, weight: Floats) -> float:
    """Fills in logits and label biases, [C, K]; returns the mean skill of those that take part."""
    clients, classes = right.shape
    in_client = p.client_share[worlds.cut_layer[n]]
    known = 0.0
    for c in range(clients):
        behind = worlds.behind[n, c]
        skill = 0.0
        for k in range(classes):
            right[c, k] = in_client * (worlds.own_skill[n, c, k] - behind) + (1.0 - in_client) * worlds.skill[n, k]
            skill += max(right[c, k], 0.0)
            weight[c, k] = worlds.label_bias[n, c, k]
        known += part[c] * skill
    return known / classes


@kernel(INLINED, fastmath=True)
def _mix(worlds: Worlds, n: int, part: Floats, p: Parameters) -> tuple[float, float, float]:
    """Of the participants: sum of squared fractions, mean evenness, and how well the classes are mixed (1: evenly)."""
    classes = worlds.skill.shape[1]
    concentration = evenness = squares = 0.0
    for c in range(len(part)):
        concentration += part[c] * part[c]
        evenness += part[c] * worlds.evenness[n, c]
    for k in range(classes):
        mass = 0.0
        for c in range(len(part)):
            mass += part[c] * worlds.class_share[n, c, k]
        squares += mass * mass
    return concentration, evenness, power(1.0 / (classes * squares), p.skew)


@kernel(INLINED, fastmath=True)
def _teach(worlds: Worlds, n: int, c: int, pace: float, diversity: float, p: Parameters, room: Scratch) -> float:
    """Skill and label biases of one client; leaves what it teaches the server, [K], in `room.others`.

    Returns:
        The mean probability of a right answer on the client's own data.
    """
    probability, weight, others = room.right[c], room.weight[c], room.others[c]
    share, own_skill, label_bias = worlds.class_share[n, c], worlds.own_skill[n, c], worlds.label_bias[n, c]
    own_speed, label_bias_speed = pace * p.client_speed[worlds.cut_layer[n]], pace * p.label_bias_speed
    hit = wrong = 0.0
    for k in range(len(share)):
        hit += share[k] * probability[k]
        wrong += share[k] * (1.0 - probability[k]) / others[k]
    for k in range(len(share)):
        error = share[k] * (1.0 - probability[k])
        in_favour = weight[k] * (wrong - error / others[k])
        own_skill[k] += limited(own_speed * error) - p.decay * own_skill[k]
        label_bias[k] += limited(label_bias_speed * (error - in_favour)) - p.decay * label_bias[k]
        others[k] = error * diversity - p.confusion * in_favour
    return hit
