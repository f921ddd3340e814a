"""What a slot of a world costs: who took part, joules, bits, and when each client was busy."""

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.network.wired import Ways
from splitgym.timing.amounts import plan_of
from splitgym.timing.barrier import BROADCAST, CLIENT, SERVER, UNICAST, UPLINK, Rows, find_amounts
from splitgym.timing.cell import Cell, Constants, Spectrum
from splitgym.timing.records import Rules, Walked
from splitgym.timing.slot import Slot
from splitgym.timing.wires import radio_share


@kernel(INLINED)
def clear(walked: Walked, n: int) -> None:
    """Nothing has happened yet in world n."""
    walked.latency_s[n] = walked.server_energy_j[n] = walked.traffic_bits[n] = walked.migration_bits[n] = 0.0
    for row in range(walked.stage_s.shape[1]):
        walked.stage_s[n, row] = 0.0
    for i in range(walked.participants.shape[1]):
        walked.participants[n, i] = walked.timed_out[n, i] = False
        walked.client_energy_j[n, i] = 0.0
    for row in range(walked.start_s.shape[1]):
        for i in range(walked.start_s.shape[2]):
            walked.start_s[n, row, i] = walked.stop_s[n, row, i] = 0.0


@kernel(INLINED)
def note_slot(
    walked: Walked,
    n: int,
    constants: Constants,
    rules: Rules,
    table: Rows,
    plans: Ints,
    spectrum: Spectrum,
    cell: Cell,
    slot: Slot,
    broadcast_bits: float,
) -> None:
    """Notes what happened in a slot of world n: which clients were in it, when, and what it cost."""
    began, takes_part, links, busy_s = slot.began, slot.takes_part, slot.links, slot.busy_s
    start, stop, common_s = slot.timeline.start, slot.timeline.stop, slot.timeline.common_s
    own_hz, power_w, uplink, downlink = links.hz, links.power_w, links.uplink, links.downlink
    client_hz, move_down, move_up = cell.client_hz, cell.move_down, cell.move_up
    participants, timed_out, without_subchannel = walked.participants, walked.timed_out, walked.without_subchannel
    all_start, all_stop, clients_j = walked.start_s, walked.stop_s, walked.client_energy_j
    stage_s, all_stage_s, server_j, bits = slot.timeline.stage_s, walked.stage_s, 0.0, broadcast_bits
    begin, moved_bits, backbone, kinds, anybody = walked.latency_s[n], 0.0, cell.backbone, table.kind, False
    wired_s, hops = cell.wires.s_per_bit, cell.wires.links
    _add_up_busy_seconds(table, takes_part, start, stop, busy_s)
    if cell.broadcast_delay_s > 0.0:
        _leave_out_delays(table, rules, plans, cell, slot)
    for i in range(began.shape[0]):
        if not began[i]:
            continue
        participants[n, i], timed_out[n, i] = takes_part[i], not takes_part[i]
        anybody |= takes_part[i]
        without_subchannel[n, i] = False
        computing = busy_s[0, i]
        sending = busy_s[1, i] * radio_share(uplink[i], wired_s[i])
        receiving = busy_s[2, i] * radio_share(downlink[i], wired_s[i])
        for row in range(all_start.shape[1]):
            all_start[n, row, i], all_stop[n, row, i] = begin + start[row, i], begin + stop[row, i]
        capacitance = constants.client_capacitance * rules.client_energy[plan_of(plans, i)]
        clients_j[n, i] = capacitance * client_hz[i] ** 3 * computing + power_w[i] * sending
        server_j += constants.downlink_psd * own_hz[i] * receiving
        bits += (uplink[i] * sending + downlink[i] * receiving) * (1.0 + hops[i])
        moved_bits += move_down[i] + move_up[i] if takes_part[i] else 0.0
    for row in range(common_s.shape[0]):
        all_stage_s[n, row] += stage_s[row]
        busy = common_s[row] * _times(table, row)
        if kinds[row] == SERVER:
            server_j += constants.server_capacitance * cell.server_hz**3 * busy
        elif kinds[row] == BROADCAST:
            hears, seconds = began if row < table.deadline_row else takes_part, common_s[row] - cell.broadcast_delay_s
            on_air_s, wired_bits = _broadcast(constants.ways, cell, hears, max(seconds, 0.0))
            server_j += constants.downlink_psd * _width_hz(spectrum.subchannel_hz) * on_air_s
            bits += wired_bits
        elif kinds[row] > BROADCAST and backbone.is_link[kinds[row]]:
            sending_s = max(common_s[row] - backbone.delay_s[kinds[row]], 0.0)
            bits += backbone.speed[kinds[row]] * sending_s * _times(table, row)
        elif kinds[row] > BROADCAST:
            server_j += backbone.capacitance[kinds[row]] * backbone.speed[kinds[row]] ** 3 * busy
    if anybody:
        moved_bits += cell.relocated_bits + cell.move_between
        bits += cell.relocation_traffic
    walked.migration_bits[n] += moved_bits
    walked.server_energy_j[n] += server_j
    walked.traffic_bits[n] += bits


@kernel(INLINED)
def _times(table: Rows, row: int) -> float:
    """How often what stands in a row is done: once for each micro-batch."""
    return table.micro_batches if table.passes[row] > 0 else 1.0


@kernel(INLINED)
def _add_up_busy_seconds(table: Rows, takes_part: Bools, start: Floats, stop: Floats, busy_s: Floats) -> None:
    """Fills [3, C] seconds of computing, sending and receiving; [R, C] of a timeline, of no meaning for others.

    Who was dropped at the timeout was busy until then with the first micro-batch.
    """
    kinds = table.kind
    for i in range(busy_s.shape[1]):
        busy_s[0, i] = busy_s[1, i] = busy_s[2, i] = 0.0
    for row in range(start.shape[0]):
        if kinds[row] < SERVER:
            busy = busy_s[0] if kinds[row] == CLIENT else busy_s[1] if kinds[row] == UPLINK else busy_s[2]
            start_s, stop_s, times = start[row], stop[row], _times(table, row)
            for i in range(busy.shape[0]):
                busy[i] += (stop_s[i] - start_s[i]) * (times if takes_part[i] else 1.0)


@kernel(INLINED)
def _leave_out_delays(table: Rows, rules: Rules, plans: Ints, cell: Cell, slot: Slot) -> None:
    """Takes delays of wires out of the seconds of sending and receiving, in which clients or stations are on air."""
    start, stop, kinds = slot.timeline.start, slot.timeline.stop, table.kind
    for row in range(start.shape[0]):
        if kinds[row] in (UPLINK, UNICAST):
            find_amounts(row, table, rules.work, plans, cell, slot.amount)
            busy, times = slot.busy_s[1] if kinds[row] == UPLINK else slot.busy_s[2], _times(table, row)
            for i in range(busy.shape[0]):
                if slot.amount[i] > 0.0:
                    delay_s = min(cell.wires.delay_s[i], stop[row, i] - start[row, i])
                    busy[i] -= delay_s * (times if slot.takes_part[i] else 1.0)


@kernel(INLINED)
def _broadcast(ways: Ways, cell: Cell, hears: Bools, seconds: float) -> tuple[float, float]:
    """Of a broadcast to some clients ([C]): seconds on air, and bits over links to their stations, each link once."""
    if ways.s_per_bit.shape[0] == 0:
        return seconds, 0.0
    slowest, links = -1, 0.0
    for i in range(hears.shape[0]):
        if hears[i] and (slowest < 0 or cell.band[i] < cell.band[slowest]):
            slowest = i
    if slowest < 0:
        return 0.0, 0.0
    for e in range(ways.s_per_bit.shape[0]):
        used = False
        for i in range(hears.shape[0]):
            used |= hears[i] and ways.uses[cell.wires.station[i], 0, e]
        links += used
    bits = cell.band[slowest] * seconds
    return seconds - bits * cell.wires.s_per_bit[slowest], bits * links


@kernel(INLINED)
def _width_hz(hz: Floats) -> float:
    """The whole band, Hz."""
    width = 0.0
    for one in hz:
        width += one
    return width
