"""Steps of an asynchronous framework as plain Python, without splitgym's own arithmetic: a fluid that flows on.

Time moves from event to event; each client has a list of what is left of its mini-batch, from which it takes away what
it does in between.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from plain_on_demand import Client, Slot

from splitgym.frameworks import Barrier, Resource
from splitgym.types import Decision, RoundState


@dataclass
class Task:
    kind: int
    left: float
    energy: float = 1.0
    """Of a cycle, over that with 32 bits."""


@dataclass
class Flight:
    """A mini-batch: on its way to the server, there, or back."""

    tasks: list[Task]
    back: list[Task]
    server_cycles: list[float]
    arrived: float | None = None
    returns: bool = False


@dataclass
class Done:
    """What became of a step."""

    latency_s: float = 0.0
    participants: set[int] = field(default_factory=set)
    bits: float = 0.0
    moved_bits: float = 0.0
    client_j: dict[int, float] = field(default_factory=dict)
    server_j: float = 0.0
    server_left: float = 0.0
    server_busy: list[tuple[float, float]] = field(default_factory=list)


class Deal(Slot):
    """The band at a moment, of those that are on air."""

    def __init__(self, state: RoundState, decision: Decision, own: dict[int, list[int]]) -> None:
        self.state, self.decision, self.system, self.own = state, decision, state.system, own
        self.requests: dict[int, Client] = {}

    @property
    def active(self) -> dict[int, Client]:
        return self.requests


class Cell:
    """A cell over the steps of an episode."""

    def __init__(self, clients: int) -> None:
        self.now = 0.0
        self.flights: dict[int, Flight | None] = dict.fromkeys(range(clients))

    def begin(self, i: int, state: RoundState, decision: Decision) -> Flight:
        program = state.system.program
        cut, held_by_all = int(decision.cut_layer), state.available.shape
        held, size = int(state.client_cut_layer[i]), state.system.prefix_bits
        moved = float(size[cut] - size[held]) if held else 0.0
        tasks = [Task(-int(Resource.UNICAST), max(moved, 0.0)), Task(-int(Resource.UPLINK), max(-moved, 0.0))]
        codec, precision = (int(np.broadcast_to(each, held_by_all)[i]) for each in (decision.codec, decision.precision))
        back, cycles, plan = [], [], program.plans.index(cut, 0, 0, codec, precision)
        energy = state.system.energy_factors[precision]
        for phase, kind in enumerate(program.resource.tolist()):
            if kind == Resource.SERVER:
                cycles.append(float(program.per_participant[plan, phase]))
            else:
                (back if cycles else tasks).append(Task(kind, float(program.work[plan, phase]), energy))
        return Flight(tasks, back, cycles)

    def step(self, state: RoundState, decision: Decision) -> Done:
        """One update of the server."""
        system = state.system
        clients = range(len(state.client_hz))
        self.lose(state)
        own = {i: [k for k, owner in enumerate(decision.assignment) if owner == i] for i in clients}
        own = {
            i: ks for i, ks in own.items() if ks and state.available[i] and (decision.selected[i] or self.flights[i])
        }
        begins = {i for i in own if decision.selected[i]}
        can = sum(
            bool(flight and not flight.returns and (flight.arrived is not None or i in own)) or i in begins
            for i, flight in self.flights.items()
        )
        wanted = int(decision.quorum) or system.asynchrony.quorum or can
        wanted = min(wanted, can)
        in_pieces = system.on_demand and Barrier.ALL not in system.program.barrier[system.program.resource == 3]
        deal, done, start = Deal(state, decision, own), Done(client_j=dict.fromkeys(clients, 0.0)), self.now
        update: list[int] | None = None
        served: list[int] = []
        # What the server has left of the update before.
        busy_until = start + float(state.flights.server_left) / state.server_hz
        while True:
            for i in clients:
                if state.available[i]:
                    self.enter(i, state, decision, begins)
            queue = self.queue()
            if update is None and self.closes(state, queue, wanted, self.now - start):
                update = queue[: max(wanted, 1)]
                if not update:
                    break
            if busy_until <= self.now + 1e-15:
                if in_pieces:
                    ready = [i for i in (queue if update is None else update) if i not in served][:1]
                else:
                    ready = update if update is not None and not served else []
                if ready:
                    seconds = sum(sum(self.flights[i].server_cycles) for i in ready) / state.server_hz
                    served += ready
                    busy_until = self.now + seconds
                    done.server_busy.append((self.now, busy_until))
                    done.server_j += system.server_capacitance * state.server_hz**3 * seconds
                    continue
                if update is not None and set(update) <= set(served):
                    break
            self.flow(state, deal, done, self.next_limit(start, update, busy_until, state))
        for i in update or ():
            flight = self.flights[i]
            self.flights[i] = Flight(flight.back, [], [], returns=True)
        done.latency_s, done.participants = self.now - start, set(update or ())
        done.server_left = max(float(state.flights.server_left) - done.latency_s * state.server_hz, 0.0)
        left_j = system.server_capacitance * state.server_hz**2
        done.server_j += left_j * (float(state.flights.server_left) - done.server_left)
        return done

    def lose(self, state: RoundState) -> None:
        """What is on its way to the server from clients that are gone."""
        for i, flight in self.flights.items():
            if not state.available[i] and flight and not flight.returns:
                self.flights[i] = None

    def queue(self) -> list[int]:
        """Clients at the server, the first one first."""
        waiting = [i for i, flight in self.flights.items() if flight and flight.arrived is not None]
        return sorted(waiting, key=lambda i: (self.flights[i].arrived, i))

    def closes(self, state: RoundState, queue: list[int], wanted: int, waited_s: float) -> bool:
        impatient = waited_s >= state.system.asynchrony.patience_s - 1e-12
        timed_out = waited_s >= state.system.round_timeout_s - 1e-12
        return (0 < wanted <= len(queue)) or bool(queue and impatient) or timed_out

    def next_limit(self, start: float, update: list[int] | None, busy_until: float, state: RoundState) -> float:
        """Seconds until something happens that no client does."""
        limits = [busy_until - self.now] if busy_until > self.now + 1e-15 else []
        if update is None:
            waits = (state.system.round_timeout_s, state.system.asynchrony.patience_s)
            limits += [start + wait - self.now for wait in waits if start + wait > self.now + 1e-12]
        return min(limits, default=math.inf)

    def enter(self, i: int, state: RoundState, decision: Decision, begins: set[int]) -> None:
        while True:
            flight = self.flights[i]
            if flight is None:
                if i not in begins:
                    return
                self.flights[i] = self.begin(i, state, decision)
            elif flight.tasks:
                if flight.tasks[0].left > 0:
                    return
                flight.tasks.pop(0)
            elif flight.returns:
                self.flights[i] = None
            else:
                flight.arrived = self.now if flight.arrived is None else flight.arrived
                return

    def flow(self, state: RoundState, deal: Deal, done: Done, limit: float) -> None:
        """Everybody does something, until somebody is done with it or the limit is there."""
        tasks = {
            i: flight.tasks[0]
            for i, flight in self.flights.items()
            if state.available[i] and flight and flight.tasks and (flight.tasks[0].kind == 0 or i in deal.own)
        }
        deal.requests = {
            i: Client(iter(()), ("send" if abs(task.kind) == Resource.UPLINK else "receive", task.left, 0.0))
            for i, task in tasks.items()
            if task.kind != 0
        }
        rate, power_w, width_hz = self.rates(state, deal)
        hz = state.client_hz * deal.decision.clock
        speed = {i: hz[i] if task.kind == 0 else rate[i] for i, task in tasks.items()}
        ends = {i: task.left / speed[i] for i, task in tasks.items() if speed[i] > 0}
        seconds = min([limit, *ends.values()])
        for i, task in tasks.items():
            amount = min(speed[i] * seconds, task.left)
            if ends.get(i, math.inf) <= seconds * (1 + 1e-13):
                amount = task.left
            task.left -= amount
            if task.kind == 0:
                done.client_j[i] += task.energy * state.system.client_capacitance * hz[i] ** 3 * seconds
                continue
            done.bits += amount
            done.moved_bits += amount if task.kind < 0 else 0.0
            if abs(task.kind) == Resource.UPLINK:
                done.client_j[i] += power_w[i] * seconds
            else:
                done.server_j += state.system.downlink_psd_w_per_hz * width_hz[i] * seconds
        self.now += seconds

    def rates(self, state: RoundState, deal: Deal) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
        """Bits/s of those on air, W of those that send, Hz of those that receive."""
        if state.system.on_demand:
            rate, power_w = deal.deal()
            return rate, power_w, dict.fromkeys(rate, math.nan)
        psd, width = deal.decision.power_w_per_hz, state.subchannel_hz
        down = state.system.downlink_psd_w_per_hz
        rate, power_w, hz = {}, {}, {}
        for i, client in deal.requests.items():
            sends = client.request[0] == "send"
            rate[i] = sum(deal.shannon(i, k, psd[k] if sends else down) for k in deal.own[i])
            power_w[i] = sum(psd[k] * width[k] for k in deal.own[i])
            hz[i] = sum(width[k] for k in deal.own[i])
        return rate, power_w, hz
