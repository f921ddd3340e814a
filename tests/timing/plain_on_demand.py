"""A slot with on-demand sharing as plain Python over one world, without splitgym's own arithmetic.

Each client is a generator that asks for what it needs next; a loop moves time from event to event and grants it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from splitgym.frameworks import Barrier, Resource
from splitgym.types import Decision, RoundState

Request = tuple[str, float, float]
"""What ("wait", "send", "receive", "serve", "all"), how much (s, bits, bits, s, index of the phase), and since when."""


@dataclass
class Client:
    """What became of a client."""

    asks: Iterator[Request]
    request: Request | None = None
    phase: int = 0
    left_out: bool = False
    joules: float = 0.0
    bits: float = 0.0
    stops: dict[int, float] = field(default_factory=dict)


class Slot:
    """A round in a single slot without a part of the network that moves."""

    def __init__(self, state: RoundState, decision: Decision) -> None:
        self.state, self.decision, self.system, program = state, decision, state.system, state.system.program
        rows = math.ceil(float(decision.aggregation_ratio) * self.system.batch_size)
        plan = program.plans.index(decision.cut_layer, rows)
        work, each = (table[plan].tolist() for table in (program.work, program.per_participant))
        self.phases = [(int(kind), w, e) for kind, w, e in zip(program.resource, work, each, strict=True)]
        self.own = {
            i: [k for k in range(self.system.subchannels) if decision.assignment[k] == i]
            for i in range(len(state.client_hz))
            if decision.selected[i] and state.available[i]
        }
        self.clients = {
            i: Client(self.life(i)) for i, own in self.own.items() if own or not program.uses_own_subchannels
        }
        self.now, self.served, self.common_bits = 0.0, -1, 0.0

    def life(self, i: int) -> Iterator[Request]:
        """What client i asks for, phase by phase; it is told the time when it has got it."""
        program, came = self.system.program, 0.0
        for phase, (kind, work, each) in enumerate(self.phases):
            self.clients[i].phase = phase
            if kind == Resource.CLIENT:
                came = yield ("wait", work / self.state.client_hz[i], came)
            elif kind < Resource.SERVER:
                came = yield ("send" if kind == Resource.UPLINK else "receive", work, came)
            else:
                alone = program.barrier[phase] == Barrier.NONE and kind == Resource.SERVER
                if work > 0 or (each > 0 and not alone):
                    done = yield ("all", phase, came)
                    # From elsewhere everybody's rows come back to the server together.
                    came = came if kind == Resource.SERVER else done
                if alone:
                    yield ("serve", each / self.state.server_hz, came)
            self.clients[i].stops[phase] = self.now
        self.clients[i].phase = len(self.phases)

    def run(self) -> float:
        """The latency."""
        for client in self.clients.values():
            client.request = next(client.asks)
        while self.step():
            pass
        return self.now if self.clients else self.system.round_timeout_s

    @property
    def active(self) -> dict[int, Client]:
        return {i: c for i, c in self.clients.items() if c.request is not None and not c.left_out}

    def step(self) -> bool:
        """Moves on to the next event; False: there is none."""
        self.begin_for_all()
        waiting = [i for i, c in self.active.items() if c.request[0] == "serve"]
        if self.served not in waiting:
            self.served = min(waiting, key=lambda i: (self.active[i].request[2], i), default=-1)
        speed = dict.fromkeys((i for i, c in self.active.items() if c.request[0] == "wait"), 1.0)
        speed |= {i: 1.0 for i in waiting if i == self.served}
        rate, power_w = self.deal()
        speed |= {i: r for i, r in rate.items() if r > 0}
        seconds = min((self.active[i].request[1] / s for i, s in speed.items()), default=math.inf)
        late = [c for c in self.active.values() if c.phase < self.deadline]
        patience = self.system.round_timeout_s - self.now if late and self.deadline <= len(self.phases) else math.inf
        if math.isinf(min(seconds, patience)):
            return False
        self.now += min(seconds, patience)
        for i, s in speed.items():
            self.progress(self.active[i], s, min(seconds, patience), power_w.get(i, 0.0), i in rate)
        if patience < seconds:
            for client in late:
                client.left_out = True
        return True

    def progress(self, client: Client, speed: float, seconds: float, power_w: float, on_air: bool) -> None:
        what, amount, since = client.request
        done = amount <= speed * seconds * (1 + 1e-12)
        if on_air:
            client.bits += amount if done else speed * seconds
            client.joules += power_w * seconds
        client.request = (what, amount - speed * seconds, since)
        if done:
            self.grant(client)

    def grant(self, client: Client) -> None:
        try:
            client.request = client.asks.send(self.now)
        except StopIteration:
            client.request = None

    def begin_for_all(self) -> None:
        requests = [c.request for c in self.active.values()]
        everybody = [c for c in self.clients.values() if not c.left_out]
        if not requests or len(requests) < len(everybody) or len({r[:2] for r in requests}) > 1:
            return
        what, phase, _ = requests[0]
        if what != "all":
            return
        kind, work, each = self.phases[phase]
        resources = self.system.program.resources
        in_pieces = kind == Resource.SERVER and self.system.program.barrier[phase] == Barrier.NONE
        amount = work + (0.0 if in_pieces else each * len(requests))
        speed = {
            Resource.SERVER: self.state.server_hz,
            Resource.BROADCAST: min(self.whole_band(i) for i in self.active),
            **dict(enumerate(resources.speed[5:].tolist(), 5)),
        }[kind]
        self.common_bits += amount if kind == Resource.BROADCAST or resources.is_link[kind] else 0.0
        for client in self.active.values():
            client.request = ("wait", amount / speed, client.request[2])

    @property
    def deadline(self) -> int:
        kinds = [kind for kind, _, _ in self.phases]
        if Resource.UPLINK not in kinds:
            return len(kinds) + 1
        first = kinds.index(Resource.UPLINK)
        return next((p for p in range(first, len(kinds)) if kinds[p] >= Resource.SERVER), len(kinds))

    # The band -------------------------------------------------------------------------------------------------------

    def shannon(self, i: int, k: int, psd: float) -> float:
        snr = psd * self.state.channel_gain[i, k] / self.system.noise_psd_w_per_hz
        return self.state.subchannel_hz[k] * math.log2(1 + snr)

    def whole_band(self, i: int) -> float:
        return sum(self.shannon(i, k, self.system.downlink_psd_w_per_hz) for k in range(self.system.subchannels))

    def deal(self) -> tuple[dict[int, float], dict[int, float]]:
        """Rates of who sends or receives, and powers of who sends."""
        psd, hz = self.decision.power_w_per_hz, self.state.subchannel_hz
        sends = [i for i, c in self.active.items() if c.request[0] == "send" and c.request[1] > 0]
        on_air = sends + [i for i, c in self.active.items() if c.request[0] == "receive" and c.request[1] > 0]
        has = {i: list(self.own[i]) for i in on_air}
        kept = {i: set(self.own[i]) for i in on_air}
        power = {i: sum(psd[k] * hz[k] for k in self.own[i]) for i in sends}
        share = max(self.system.total_power_max_w - sum(power.values()), 0.0) / max(len(sends), 1)
        budget = {i: max(w, min(w + share, self.system.client_power_max_w)) for i, w in power.items()}

        def rate_of(i: int) -> float:
            if i not in sends:
                return sum(self.shannon(i, k, self.system.downlink_psd_w_per_hz) for k in has[i])
            decided = sum(self.shannon(i, k, psd[k]) for k in self.own[i])
            lent = set(has[i]) - kept[i]
            level = self.level(i, has[i], budget[i]) if lent else 0.0
            if any(level <= self.floor(i, k) for k in lent):
                return -1.0  # it would not use what it is lent
            return sum(self.shannon(i, k, max(level - self.floor(i, k), 0.0)) for k in has[i]) if lent else decided

        rate = {i: rate_of(i) for i in on_air}
        for i in on_air:
            if rate[i] == 0:  # what it cannot use is idle, and may be lent to itself with some power
                has[i], kept[i] = [], set()
        wants, idle = set(on_air), set(range(self.system.subchannels)) - {k for ks in has.values() for k in ks}
        while idle and wants:
            last = max(sorted(wants), key=lambda i: self.active[i].request[1] / rate[i] if rate[i] else math.inf)
            best = max(sorted(idle), key=lambda k: self.state.channel_gain[last, k])
            has[last].append(best)
            faster = rate_of(last)
            if faster > rate[last]:
                rate[last] = faster
                idle.remove(best)
            else:
                has[last].remove(best)
                wants.remove(last)
        return rate, {i: budget[i] if set(has[i]) - kept[i] else power[i] for i in sends}

    def floor(self, i: int, k: int) -> float:
        return self.system.noise_psd_w_per_hz / self.state.channel_gain[i, k]

    def level(self, i: int, subchannels: list[int], power_w: float) -> float:
        """The water level by bisection."""
        hz, low, high = self.state.subchannel_hz, 0.0, 1.0
        while sum(hz[k] * max(high - self.floor(i, k), 0.0) for k in subchannels) < power_w:
            high *= 2
        for _ in range(200):
            middle = (low + high) / 2
            spent = sum(hz[k] * max(middle - self.floor(i, k), 0.0) for k in subchannels)
            low, high = (middle, high) if spent < power_w else (low, middle)
        return high
