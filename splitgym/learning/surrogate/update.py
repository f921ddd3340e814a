"""What a round teaches its participants, and which clients fall behind."""

from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, INLINED_APART, kernel
from splitgym.kernels.functions import exp, ln, power
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.probabilities import odds
from splitgym.learning.surrogate.worlds import Scratch, Worlds, lanes_of


@kernel(INLINED, fastmath=True)
def train(worlds: Worlds, n: int, aggregated: float, loss_normals: Floats, p: Parameters, room: Scratch) -> None:
    """Trains world n once, with the participants in `room.part`, whose cuts `move_cuts` has moved.

    A class's skill grows with the errors on its samples, in the server's units with those of all participants and in
    a client's units with its own. It grows the faster, the more the network knows already, and hardly where the
    mini-batches have few classes or their gradients are averaged over clients.

    Args:
        worlds: Changed in place.
        n: The world.
        aggregated: Fraction of the rows whose last-layer gradients are averaged.
        loss_normals: [C] standard normals.
        p: Of the dynamics, by cut layer.
        room: Workspace.
    """
    held, classes = worlds.client_cut_layer[n], worlds.skill.shape[1]
    share, evenness, behind = worlds.share[n], worlds.evenness[n], worlds.behind[n]
    skill, own_skill, label_bias = worlds.skill[n], worlds.own_skill[n], worlds.label_bias[n]
    _look(skill, own_skill, behind, label_bias, room)
    _answer(share, room)
    concentration, even, known = _mean(room.part, evenness, room.known)
    # One client alone has nothing to average.
    averaged = aggregated if concentration < 1.0 - 1e-9 else 0.0
    kept = power(concentration, p.kept_by_number) if averaged > 0.0 else 1.0
    pace = classes * worlds.run_effect[n] * power(p.initial_rate + known / classes, p.take_off)
    _set_speeds(evenness, pace, averaged, p.kept_by_client * kept, p.decay, room)
    diversity = power(1.0 / (classes * _squares(share, room.part)), p.skew)
    _teach(own_skill, label_bias, p.label_bias_speed, room)
    _gather(diversity, p.confusion, room)
    worlds.loss[n] = _note_losses(worlds.client_loss[n], loss_normals, p.loss_noise, room)
    left = _left(averaged, _mean_at_cuts(p.kept_by_server, held, room.part) * kept * even)
    server_speed = _mean_at_cuts(p.server_speed, held, room.part)
    speed = left * pace * server_speed / (1.0 + p.few_client_penalty * concentration)
    moved = _move(skill, room.gain, speed, p.decay)
    _fall_behind(behind, room.part, p.drift * moved / classes, p.returning)


@kernel(INLINED_APART, fastmath=True)
def _look(skill: Floats, own_skill: Floats, behind: Floats, label_bias: Floats, room: Scratch) -> None:
    """Fills in the odds `right` and `weight`, and sums over the classes: skills `known` and `total` weight."""
    known, total, in_client = room.known, room.total, room.in_client
    for c in range(lanes_of(known)):
        known[c] = total[c] = 0.0
    for k in range(len(skill)):
        own, bias, right, weight, in_server = own_skill[k], label_bias[k], room.right[k], room.weight[k], skill[k]
        for c in range(lanes_of(known)):
            logit = in_client[c] * (own[c] - behind[c]) + (1.0 - in_client[c]) * in_server
            known[c] += max(logit, 0.0)
            right[c] = odds(logit)
            weight[c] = odds(bias[c])
            total[c] += weight[c]


@kernel(INLINED_APART, fastmath=True)
def _answer(share: Floats, room: Scratch) -> None:
    """How clients' networks answer on their own data.

    Fills in `error`, the share of samples of a class that are answered wrongly, `rate`, the same divided by the weight
    of all other classes, its sum `wrong`, and `hit`, the share of all samples that are answered rightly.
    """
    hit, wrong, total = room.hit, room.wrong, room.total
    for c in range(lanes_of(hit)):
        hit[c] = wrong[c] = 0.0
    for k in range(len(share)):
        own_share, right, weight, error, rate = share[k], room.right[k], room.weight[k], room.error[k], room.rate[k]
        for c in range(lanes_of(hit)):
            own, others = weight[c] * right[c], total[c] - weight[c]
            rate[c] = own_share[c] / (own + others)
            error[c] = rate[c] * others
            hit[c] += rate[c] * own
            wrong[c] += rate[c]


@kernel(INLINED_APART, fastmath=True)
def _mean(part: Floats, evenness: Floats, known: Floats) -> tuple[float, float, float]:
    """Of the participants: sum of squared fractions, mean evenness, and mean skill summed over classes."""
    concentration = even = skill = 0.0
    for c in range(lanes_of(part)):
        concentration += part[c] * part[c]
        even += part[c] * evenness[c]
        skill += part[c] * known[c]
    return concentration, even, skill


@kernel(INLINED_APART)
def _mean_at_cuts(of_cut: Floats, held: Ints, part: Floats) -> float:
    """Mean over the participants of a number that differs by cut layer; exact where these are the same."""
    first = mean = -1.0
    for c in range(len(held)):
        if part[c] > 0.0:
            value = of_cut[held[c]]
            if first < 0.0:
                first = mean = value
            mean += part[c] * (value - first)
    return mean


@kernel(INLINED_APART, fastmath=True)
def _squares(share: Floats, part: Floats) -> float:
    """Sum of the squared shares of the classes in the data of the participants; 1 / K: all classes alike."""
    squares = 0.0
    for k in range(len(share)):
        of_class, mass = share[k], 0.0
        for c in range(lanes_of(part)):
            mass += part[c] * of_class[c]
        squares += mass * mass
    return squares


@kernel(INLINED, fastmath=True)
def _left(averaged: float, kept: float) -> float:
    """How much of a gradient is left if of the averaged rows a fraction is kept."""
    return 1.0 - averaged + averaged * min(kept, 1.0)


@kernel(INLINED_APART, fastmath=True)
def _set_speeds(evenness: Floats, pace: float, averaged: float, kept: float, decay: float, room: Scratch) -> None:
    """Fills in `speed` and `decay` of clients; 0 of those that do not take part."""
    part, speed, decays = room.part, room.speed, room.decay
    for c in range(lanes_of(part)):
        takes_part = 1.0 if part[c] > 0.0 else 0.0
        speed[c] = takes_part * pace * _left(averaged, kept * evenness[c])
        decays[c] = takes_part * decay


@kernel(INLINED_APART, fastmath=True)
def _teach(own_skill: Floats, label_bias: Floats, label_bias_speed: float, room: Scratch) -> None:
    """Moves skills and label biases of the clients, [K, L]; no step is longer than one logit."""
    speed, client_speed, decay, wrong = room.speed, room.client_speed, room.decay, room.wrong
    for k in range(len(own_skill)):
        own, bias, weight, error, rate = own_skill[k], label_bias[k], room.weight[k], room.error[k], room.rate[k]
        for c in range(lanes_of(speed)):
            in_favour = weight[c] * (wrong[c] - rate[c])
            step = client_speed[c] * speed[c] * error[c]
            bias_step = label_bias_speed * speed[c] * (error[c] - in_favour)
            # Both steps are divided at once, as divisions take long.
            bound, bias_bound = 1.0 + abs(step), 1.0 + abs(bias_step)
            both = 1.0 / (bound * bias_bound)
            own[c] += step * bias_bound * both - decay[c] * own[c]
            bias[c] += bias_step * bound * both - decay[c] * bias[c]


@kernel(INLINED_APART, fastmath=True)
def _gather(diversity: float, confusion: float, room: Scratch) -> None:
    """Fills in what the participants teach the server, `gain`."""
    part, wrong, gain = room.part, room.wrong, room.gain
    for k in range(len(gain)):
        weight, error, rate, taught = room.weight[k], room.error[k], room.rate[k], 0.0
        for c in range(lanes_of(part)):
            taught += part[c] * (error[c] * diversity - confusion * weight[c] * (wrong[c] - rate[c]))
        gain[k] = taught


@kernel(INLINED_APART, fastmath=True)
def _note_losses(client_loss: Floats, normals: Floats, deviation: float, room: Scratch) -> float:
    """Losses of the participants' mini-batches, [C], by how likely their samples are recognised; returns their mean."""
    part, hit, noise = room.part, room.hit, room.noise
    for c in range(len(normals)):
        noise[c] = normals[c]
    for c in range(lanes_of(noise)):
        noise[c] = -exp(deviation * (noise[c] - 0.5 * deviation)) * ln(max(hit[c], 1e-9))
    loss = 0.0
    for c in range(len(client_loss)):
        client_loss[c] = noise[c] if part[c] > 0.0 else client_loss[c]
        loss += part[c] * noise[c]
    return loss


@kernel(INLINED_APART, fastmath=True)
def _move(skill: Floats, gain: Floats, speed: float, decay: float) -> float:
    """Moves the server's skill, [K]; returns the sum of the lengths of its steps, none of them above one logit."""
    moved = 0.0
    for k in range(len(skill)):
        step = speed * gain[k]
        step /= 1.0 + abs(step)
        moved += abs(step)
        skill[k] += step - decay * skill[k]
    return moved


@kernel(INLINED_APART, fastmath=True)
def _fall_behind(behind: Floats, part: Floats, further: float, returning: float) -> None:
    """Participants make up for some of the distance, [L]; the others fall further behind."""
    for c in range(lanes_of(part)):
        behind[c] = behind[c] * (1.0 - returning) if part[c] > 0.0 else behind[c] + further
