"""How much has to be fetched over storage, if servers know that tasks share units, do not know it, or store at random?

    python -m experiments storage

Random meshes of six servers behind the clients of `three-tier`; the cloud stores all units. Each of the others is to
train one of three fine-tunings of ResNet-18, as popular as 1, 1/2 and 1/3 in an order of its own. Their first units are
the same ones, of a common base. What a server does not store it fetches from where it is there in the least time.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import optimize, sparse

from experiments.curves import draw_curves, legend_below
from experiments.multi_hop import SERVERS, mesh
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym import data, models
from splitgym.arrays import Bools, Floats
from splitgym.frameworks.storage import Request, Storage, Unit
from splitgym.scenario import Routes

MODEL, DATASET, STEM = "resnet18", "ham10000", "7x7"
TASKS = ("first", "second", "third")
SHARED = (0, 6, 8)
"""First units that tasks share, of ten."""
ROOM = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""What each server may store, in whole models: from a part of one to all three."""
ORIGIN = "cloud"
RULES = {
    "optimum": "optimum",
    "greedy": "greedy, shared units once",
    "unaware": "greedy, unaware of sharing",
    "whole": "whole models",
    "first-units": "first units first",
    "random": "random",
}
"""With what figures call them."""


def cases(quick: bool) -> list[Case]:
    """Shared units and room; in a quick run the ends."""
    step = 2 if quick else 1
    return [{"shared": shared, "room": room} for shared in SHARED[::step] for room in ROOM[:: 3 * step - 2]]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each rule in the mesh of the seed: seconds and bits for a request, its mean over the servers."""
    rng = np.random.default_rng(seed)
    storage = storage_of(rng, int(case["shared"]), float(case["room"]))
    wanted = requests(rng)
    demand, ways = storage.demand(wanted), own_order(storage, wanted)
    chosen = {
        "optimum": optimum(storage, demand),
        "greedy": storage.greedy(demand),
        "unaware": unaware(storage, wanted),
        "whole": in_order(storage, ways, whole=True),
        "first-units": in_order(storage, ways, whole=False),
        "random": at_random(storage, demand, rng),
    }
    found = []
    for rule, stored in chosen.items():
        fetched, users = storage.fetched(stored, demand), len(SERVERS) - 1
        seconds, bits = (float(f"{each / users:.6g}") for each in (fetched.seconds, fetched.bits))
        found.append({"rule": rule, "seconds": seconds, "bits": bits})
    return found


def storage_of(rng: np.random.Generator, shared: int, room: float) -> Storage:
    """The servers of a random mesh, each with room for so many models of which the first units are the same."""
    routes = Routes.of(mesh(rng, limited=False))
    ways = [[routes.between(one, other) for other in SERVERS] for one in SERVERS]
    memory = models.measure(MODEL, *data.dimensions(DATASET), STEM).memory
    bits = 8 * (memory.parameter_bytes + memory.buffer_bytes)
    tasks = {
        task: [Unit(f"{'base' if unit < shared else task} {unit + 1}", float(size)) for unit, size in enumerate(bits)]
        for task in TASKS
    }
    return Storage(
        nodes=SERVERS,
        storage_bits=np.full(len(SERVERS), room * bits.sum()),
        origin=ORIGIN,
        seconds_per_bit=np.array([[way.s_per_bit for way in row] for row in ways]),
        links=np.array([[len(way.links) for way in row] for row in ways]),
        tasks=tasks,
    )


def requests(rng: np.random.Generator) -> list[Request]:
    """One of each server but the origin, in the mean: of its tasks the k-th is 1 / k as popular as its first."""
    units = models.measure(MODEL, *data.dimensions(DATASET), STEM).memory.parameter_bytes.size
    popular = 1 / np.arange(1, len(TASKS) + 1)
    popular /= popular.sum()
    return [
        Request(node, TASKS[task], 0, units, float(times))
        for node in SERVERS
        if node != ORIGIN
        for task, times in zip(rng.permutation(len(TASKS)), popular, strict=True)
    ]


# What is stored --------------------------------------------------------------------------------------------------


def unaware(storage: Storage, wanted: list[Request]) -> Bools:
    """The greedy for tasks without common units, so that a server keeps room for each copy; then they are common."""
    apart = {task: [Unit(f"{task}, {unit.name}", unit.bits) for unit in units] for task, units in storage.tasks.items()}
    alone = replace(storage, tasks=apart)
    stored, common = alone.greedy(alone.demand(wanted)), np.zeros((len(storage.nodes), len(storage.units)), bool)
    for task, units in storage.tasks.items():
        for unit, copy in zip(units, apart[task], strict=True):
            common[:, storage.units.index(unit)] |= stored[:, alone.units.index(copy)]
    return common


class Wish(NamedTuple):
    """A model that a server may store."""

    node: int
    units: list[int]
    """In the order of the network."""


def own_order(storage: Storage, wanted: list[Request]) -> list[Wish]:
    """What each server wants, the most popular model first."""
    return [
        Wish(storage.nodes.index(each.node), [storage.units.index(unit) for unit in storage.tasks[each.task]])
        for each in sorted(wanted, key=lambda each: -each.times)
    ]


def in_order(storage: Storage, wishes: list[Wish], whole: bool) -> Bools:
    """Each server stores one model after the other, as long as they fit; or of each the first units that do."""
    bits = np.array([unit.bits for unit in storage.units])
    stored = np.zeros((len(storage.nodes), len(bits)), bool)
    for node, units in wishes:
        with_it = stored.copy()
        for unit in units:
            before = with_it.copy()
            with_it[node, unit] = True
            if bits @ with_it[node] > storage.storage_bits[node]:
                with_it = stored if whole else before
                break
        stored = with_it
    return stored


def at_random(storage: Storage, demand: Floats, rng: np.random.Generator) -> Bools:
    """Units that a server needs, in random order, each if there is still room."""
    stored, free = np.zeros(demand.shape, bool), np.array(storage.storage_bits, float)
    for place in rng.permutation(demand.size):
        node, unit = divmod(int(place), demand.shape[1])
        if demand[node, unit] > 0 and storage.units[unit].bits <= free[node]:
            stored[node, unit] = True
            free[node] -= storage.units[unit].bits
    return stored


def optimum(storage: Storage, demand: Floats) -> Bools:
    """What to store so that fetching takes the least time: an integer program, solved with HiGHS.

    x_mu says whether server m stores unit u, y_mnu which part of what n needs of it comes from m. With the y summing up
    to 1 and y_mnu <= x_mu, seconds are least where each unit comes from the nearest copy.

    Raises:
        RuntimeError: it was not solved.
    """
    nodes, units = demand.shape
    bits, origin = np.array([unit.bits for unit in storage.units]), storage.nodes.index(storage.origin)
    needs = [(n, u) for n in range(nodes) for u in range(units) if demand[n, u] > 0 and n != origin]
    n_of, u_of = np.array(needs).T
    stores, parts = nodes * units, nodes * len(needs)
    x = np.arange(stores).reshape(nodes, units)
    y = stores + np.arange(parts).reshape(nodes, len(needs))
    # In seconds for the median need, so that tolerances of the solver are small.
    seconds = storage.seconds_per_bit[:, n_of] * (demand * bits)[n_of, u_of]
    scale = float(np.median(seconds[seconds > 0]))
    cost = np.concatenate([np.zeros(stores), seconds.ravel() / scale])
    ones = sparse.csr_array(
        (np.ones(parts), (np.tile(np.arange(len(needs)), nodes), y.ravel())), (len(needs), len(cost))
    )
    rows = np.repeat(np.arange(parts), 2)
    columns = np.stack([y.ravel(), x[:, u_of].ravel()], axis=1).ravel()
    copied = sparse.csr_array((np.tile([1.0, -1.0], parts), (rows, columns)), (parts, len(cost)))
    room = sparse.csr_array(
        (np.tile(bits / bits.sum(), nodes), (np.repeat(np.arange(nodes), units), x.ravel())), (nodes, len(cost))
    )
    least = np.zeros(len(cost))
    least[x[origin]] = 1
    limit = np.where(np.arange(nodes) == origin, 1.0, storage.storage_bits / bits.sum())
    solved = optimize.milp(
        cost,
        integrality=np.concatenate([np.ones(stores), np.zeros(parts)]),
        bounds=optimize.Bounds(least, 1),
        constraints=[
            optimize.LinearConstraint(ones, 1, 1),
            optimize.LinearConstraint(copied, -np.inf, 0),
            optimize.LinearConstraint(room, -np.inf, limit),
        ],
        options={"mip_rel_gap": 1e-4},
    )
    if solved.x is None or not solved.success:
        raise RuntimeError(f"the optimum was not found: {solved.message}")
    return np.asarray(solved.x[:stores].reshape(nodes, units) > 0.5)


# What it says ----------------------------------------------------------------------------------------------------


def report(rows: pd.DataFrame) -> str:
    """Seconds and bits by room, and what they say of each number of shared units."""
    sections = [
        "To fetch what is missing for one request, mean over the servers; mean ± half width of the 95 % interval over "
        f"{rows['seed'].nunique()} random meshes of {len(SERVERS)} servers. Room: what each server may store, in whole "
        f"models. `optimum` is that of an integer program, to 0.01 %; `greedy` counts shared units once; `unaware` is "
        "the same greedy, which keeps room for them once for each task; `whole` stores one model after the other, the "
        "most popular first, as long as they fit; `first-units` of each the first units that fit; `random` units."
    ]
    for shared, own in rows.groupby("shared"):
        tables = (_table(own.assign(gigabits=own["bits"] / 1e9), each) for each in ("seconds", "gigabits"))
        sections += [f"## Shared units: {shared}", "Seconds:", next(tables), "Gbit:", next(tables), _sentences(own)]
    return "\n\n".join(sections)


def _table(own: pd.DataFrame, quantity: str) -> str:
    return markdown(
        {"room": f"{room:g}"} | {rule: estimate(of_room[of_room["rule"] == rule][quantity], 3) for rule in RULES}
        for room, of_room in own.groupby("room")
    )


def _sentences(own: pd.DataFrame) -> str:
    """What each rule loses where something has to be fetched at all."""
    seconds = own.pivot_table(index=["room", "seed"], columns="rule", values="seconds")
    seconds = seconds[seconds["optimum"] > 0]
    over = seconds.div(seconds["optimum"], axis=0)
    losses = ", ".join(
        f"`{rule}` {over[rule].mean():.2f} ({over[rule].max():.2f})" for rule in RULES if rule != "optimum"
    )
    fetched = own.pivot_table(index="room", columns="rule", values="seconds")
    enough = fetched.index[fetched["optimum"] == 0]
    nothing = f" With room for {enough.min():g} models nothing is to be fetched." if len(enough) else ""
    return (
        f"Seconds over those of the optimum in the same mesh, mean (most) where it has to fetch anything: {losses}."
        f"{nothing}"
    )


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Seconds and bits over room, a column for each number of shared units."""
    rows = rows.assign(gigabits=rows["bits"] / 1e9)
    shared = sorted(rows["shared"].unique())
    figure.set_size_inches(4.0 * len(shared), 6.2)
    panels = figure.subplots(2, len(shared), sharex=True, sharey="row", squeeze=False)
    for line, quantity in zip(panels, ("seconds", "gigabits"), strict=True):
        for axes, units in zip(line, shared, strict=True):
            draw_curves(axes, rows[rows["shared"] == units], "room", quantity, "rule", RULES)
            axes.set(ylim=(0, None), xticks=range(4))
            axes.grid(alpha=0.3)
        line[0].set_ylabel(f"{'s' if quantity == 'seconds' else 'Gbit'} to fetch for a request")
    for top, bottom, units in zip(*panels, shared, strict=True):
        top.set_title(f"{units} of 10 units shared", fontsize=10)
        bottom.set_xlabel("room of each server (models)")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} random meshes")


EXPERIMENT = Experiment(
    title="How much has to be fetched over storage, if servers know that tasks share units or do not know it?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"storage": plot},
    seeds=24,
    quick_seeds=2,
)
