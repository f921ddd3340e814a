"""The hierarchical framework: what is learnt is what PSL learns, wherever the second cut lies."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from small_nodes import assert_close, assert_same, differs, everything, network, nodes, round_batch, training

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes

SHARES = (0.4, 0.1, 0.3, 0.2)
WHO = ((0, 1, 2, 3), (0, 2), (3,), (1, 2, 3))


def rounds(made: Nodes, framework: str, cuts: Sequence[int]) -> list[torch.Tensor]:
    """Trains a round at each of the cuts; the losses."""
    losses = []
    for seed, (who, cut) in enumerate(zip(WHO * 2, cuts, strict=False)):
        made.move_cut(cut, who, np.array(SHARES))
        task = round_batch(SHARES, 6, 0, seed, who)
        assert get(framework).train(made, task)
        losses.append(task.losses)
    return losses


def after_rounds(kind: str, framework: str, second_cut: int, **fields: object) -> list[torch.Tensor]:
    """Losses, all weights and statistics, where the cut moves to and fro over the second one."""
    made = nodes(kind, SHARES, training(6, **fields), 1, framework, second_cut)
    start = everything(made)
    losses = rounds(made, framework, (1, 1, 2, 3, 3, 2, 1, 1))
    assert differs(everything(made), start)
    return [*everything(made), *losses]


@pytest.mark.parametrize("fields", [{"momentum": 0.9}, {"optimizer": "adam", "weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("second_cut", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_it_learns_what_psl_learns_to_the_bit(kind: str, second_cut: int, fields: dict[str, object]) -> None:
    assert_same(after_rounds(kind, "hierarchical", second_cut, **fields), after_rounds(kind, "psl", 2, **fields))


@pytest.mark.parametrize("second_cut", [1, 2, 3])
def test_also_with_batch_norm_of_each_client_by_itself(second_cut: int) -> None:
    """But for rounding: all rows pass units without batch norm in one product."""
    fields = {"momentum": 0.9, "batch_statistics": "per-client"}
    assert_close(after_rounds("norm", "hierarchical", second_cut, **fields), after_rounds("norm", "psl", 2, **fields))


@pytest.mark.parametrize(("cut", "second_cut", "at_edge"), [(1, 0, 0), (1, 1, 0), (1, 2, 1), (1, 3, 2), (3, 2, 0)])
def test_edge_and_cloud_train_units_of_their_own(cut: int, second_cut: int, at_edge: int) -> None:
    """The edge server has the units between the cuts, the cloud all others that are not the clients'."""
    made = nodes("norm", SHARES, training(), cut, "hierarchical", second_cut)
    units = made.server.units
    _, in_cloud = made.servers()
    edge, cloud = (
        [p for unit in part for p in unit.parameters()] for part in (units[cut : cut + at_edge], units[cut + at_edge :])
    )
    for node, own in ((made.server, edge), (in_cloud, cloud)):
        assert len(node.parameters) == len(own)
        assert all(p is q for p, q in zip(node.parameters, own, strict=True))
    assert made.server.optimizer is not in_cloud.optimizer


@pytest.mark.parametrize(("second_cut", "width"), [(1, 7), (2, 6), (0, 7)])
def test_activations_at_the_second_cut_and_their_gradients_pass_the_backhaul(second_cut: int, width: int) -> None:
    """Of three clients with six rows each, in numbers of 32 bits."""
    assert network("linear").units[1].out_features == 6
    made = nodes("linear", SHARES, training(6), 1, "hierarchical", second_cut)
    task = round_batch(SHARES, 6, 0, 0, (0, 1, 3))
    assert get("hierarchical").train(made, task)
    sent = 3 * 6 * 7 * 32
    assert +task.traffic.bits == {"backhaul": 2 * 3 * 6 * width * 32, "uplink": sent, "unicast": sent}
