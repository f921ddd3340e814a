"""Small networks in double precision, nodes around them, and round_batches of random numbers."""

from collections.abc import Sequence

import numpy as np
import torch
from fetching import fetch_and_return
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.models import CuttableNetwork, build
from splitgym.scenario import Training

torch.set_num_threads(1)


def network(kind: str, seed: int = 0) -> CuttableNetwork:
    """cnn, mlp (images 1 x 8 x 8), norm (batch norm in every unit but the head), linear (server without ReLU)."""
    generator = torch.Generator().manual_seed(seed)
    if kind in ("cnn", "mlp"):
        return build(kind, (1, 8, 8), 10, generator).double()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "norm":
            units: dict[str, nn.Module] = {
                "one": nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.BatchNorm2d(3), nn.ReLU(inplace=True)),
                "two": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten()),
                "three": nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU()),
                "head": nn.Linear(6, 10),
            }
        else:
            units = {
                "one": nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU()),
                "two": nn.Linear(7, 6),
                "head": nn.Linear(6, 10),
            }
    return CuttableNetwork(units).double()


def training(batch_size: int = 8, **fields: object) -> Training:
    values = {"client_learning_rate": 0.1, "server_learning_rate": 0.05, "momentum": 0.0, **fields}
    return Training(batch_size=batch_size, **values)


def nodes(
    kind: str, shares: Sequence[float], settings: Training, cut: int, framework: str = "epsl", second_cut: int = 2
) -> Nodes:
    """Nodes that stand at a cut; clients that have first units of their own begin with different ones."""
    chosen = get(framework)
    second = max(second_cut, cut + 1) if chosen.has_tail else second_cut if chosen.cuts_twice else None
    made = Nodes(network(kind), len(shares), settings, chosen.segments, second)
    made.move_cut(cut, range(len(shares)), np.array(shares))
    fetch_and_return(made, range(len(shares)), cut)
    for seed, client in enumerate(made.clients if made.own_units else ()):
        for unit, other in zip(client.units, network(kind, 100 + seed).units[:cut], strict=True):
            unit.load_state_dict(other.state_dict())
    return made


def round_batch(
    shares: Sequence[float],
    rows: int,
    m: int,
    seed: int,
    participants: Sequence[int] | None = None,
    slots: Sequence[Sequence[int]] | None = None,
) -> RoundBatch:
    """Random images and labels for the participants (default: everybody); slots hold positions among these."""
    generator = torch.Generator().manual_seed(seed)
    who = tuple(range(len(shares))) if participants is None else tuple(participants)
    share = torch.tensor([shares[i] for i in who], dtype=torch.float64)
    return RoundBatch(
        participants=who,
        weights=share / share.sum(),
        images=torch.randn(len(who), rows, 1, 8, 8, generator=generator, dtype=torch.float64),
        labels=torch.randint(10, (len(who), rows), generator=generator),
        aggregated_rows=m,
        losses=torch.zeros(len(who), dtype=torch.float64),
        slots=None if slots is None else tuple(map(tuple, slots)),
    )


def one_by_one(count: int) -> list[tuple[int]]:
    """Slots of one participant each."""
    return [(k,) for k in range(count)]


def held(units: Sequence[nn.Module]) -> list[Tensor]:
    """All weights and statistics of some units, as copies."""
    return [value.clone() for unit in units for value in unit.state_dict().values()]


def everything(made: Nodes) -> list[Tensor]:
    """All weights and statistics that the nodes use."""
    own = [value for client in (*made.clients, *made.tails) for value in held(client.units)]
    return own + held(made.server.units[made.cut_layer :])


def assert_close(one: Sequence[Tensor], other: Sequence[Tensor], rtol: float = 1e-9) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=1e-11)


def assert_same(one: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    assert len(one) == len(other)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def differs(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return any(not torch.allclose(a, b, rtol=1e-6, atol=1e-9) for a, b in zip(one, other, strict=True))
