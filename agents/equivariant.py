"""A policy that treats all clients alike: one set of weights for any number of them, in any order."""

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from .tokens import OF_CELL, PLACEMENT, Layout, Tokens, tokens

DEVIATION = {"cut_layer": 0.4}
"""Standard deviation with which an untrained policy explores a component; others: `USUAL_DEVIATION`."""
USUAL_DEVIATION = 0.3
FIRST = {"cut_layer": -0.6, "aggregation_ratio": -0.5, "quorum": -0.6, "clock": 0.8}
"""What an untrained policy expects of a component; others: 0. An early cut layer, clients per second, no aggregation,
few mini-batches in an update, clocks near their full speed."""
OF_NO_SECONDS, OF_A_SECOND = 0.5, -2.0
"""Score of a placement that would take no time, and what it loses by each feature of seconds from 0 to 1."""


class Pooling(nn.Module):
    """Clients, each with what all of them have in common (Zaheer et al. 2017, deep sets, twice).

    Args:
        features: Numbers in a client's token.
        width: Numbers in each hidden layer.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.each = nn.Linear(features + OF_CELL, width)
        self.among_others = nn.Linear(3 * width, width)
        self.all = nn.Linear(2 * width + OF_CELL, width)

    def forward(self, seen: Tokens) -> tuple[Tensor, Tensor]:
        """[B, C, width] of each client, and [B, width] of all."""
        clients = seen.clients.shape[1]
        cell = seen.cell[:, None].expand(-1, clients, -1)
        each = torch.tanh(self.each(torch.cat([seen.clients, cell], 2)))
        pooled = _pool(each, seen.available)[:, None].expand(-1, clients, -1)
        each = torch.tanh(self.among_others(torch.cat([each, pooled], 2)))
        return each, torch.tanh(self.all(torch.cat([_pool(each, seen.available), seen.cell], 1)))


class Score(nn.Module):
    """How good each placement is, -1..1; untrained: the better, the fewer seconds it takes.

    Args:
        layout: Of the environment.
        width: Numbers in the hidden layer.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.each = nn.Linear(layout.of_placement + width, width)
        self.direct = nn.Linear(layout.of_placement, 1)
        self.hidden = nn.Linear(width, 1, bias=False)
        nn.init.orthogonal_(self.hidden.weight, 0.01)
        with torch.no_grad():
            self.direct.bias.fill_(OF_NO_SECONDS)
            self.direct.weight.zero_()[:, : len(layout.seconds)] = OF_A_SECOND

    def forward(self, placements: Tensor, of_all: Tensor) -> Tensor:
        """[B, K] scores, of [B, K, of_placement] and [B, width] of all clients."""
        beside = of_all[:, None].expand(-1, placements.shape[1], -1)
        each = torch.tanh(self.each(torch.cat([placements, beside], 2)))
        return torch.tanh(self.direct(placements) + self.hidden(each))[:, :, 0]


class EquivariantNetwork(nn.Module):
    """Actor and critic.

    Args:
        layout: Of the environment; weights depend on what is said and shown, not on the number of clients.
        width: Numbers in each hidden layer.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self._layout = layout
        self.actor, self.critic = Pooling(layout.features, width), Pooling(layout.features, width)
        # Weights of clients in the selection; saved policies know the layer by this name.
        self.worth = nn.Linear(2 * width, 1)
        self.cell = nn.Linear(width, len(layout.of_cell))
        own = {n: nn.Linear(2 * width, 1) for n in layout.components if n in layout.by_client - {"client_weight"}}
        self.own = nn.ModuleDict(own)
        if layout.placements:
            self.placement = Score(layout, width)
        heads = [(("client_weight",), self.worth), (layout.of_cell, self.cell), *(((n,), own[n]) for n in own)]
        for names, head in heads:
            nn.init.orthogonal_(head.weight, 0.01)
            with torch.no_grad():
                head.bias.copy_(torch.tensor([FIRST.get(name, 0.0) for name in names]))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """[B, entries] means of the action, and [B, width] for the value."""
        seen = tokens(observation, self._layout)
        return self._act(seen), self.critic(seen)[1]

    def forward_actor(self, observation: Tensor) -> Tensor:
        """[B, entries] means of the action."""
        return self._act(tokens(observation, self._layout))

    def forward_critic(self, observation: Tensor) -> Tensor:
        """[B, width] for the value."""
        of_all: Tensor = self.critic(tokens(observation, self._layout))[1]
        return of_all

    def _act(self, seen: Tokens) -> Tensor:
        """[B, entries] means of the action, component after component."""
        each, of_all = self.actor(seen)
        of_each = torch.cat([each, of_all[:, None].expand_as(each)], 2)
        means = dict(zip(self._layout.of_cell, self.cell(of_all).split(1, 1), strict=True))
        means["client_weight"] = self.worth(of_each)[:, :, 0]
        means |= {name: head(of_each)[:, :, 0] for name, head in self.own.items()}
        if self._layout.placements:
            means[PLACEMENT] = self.placement(seen.placements, of_all)
        return torch.cat([means[name] for name in self._layout.components], 1)


class EquivariantPolicy(ActorCriticPolicy):
    """Policy class for Stable-Baselines3's PPO and A2C in environments with `action="priority"`.

    Renumbering the clients renumbers what is said of each and changes nothing else, so a network that is trained with
    some number of clients acts with any other: `load_state_dict` takes it. Open factors of the plan add outputs, one
    for the cell or one that all clients share, and what is shown of them adds inputs. Placements are scored alike, each
    by what is shown of it and of the cell: any number of them fits, too.

    Args:
        observation_space: Of the environment.
        action_space: Of the environment.
        lr_schedule: Learning rate over the remaining progress.
        width: Numbers in each hidden layer.
        **settings: Of `ActorCriticPolicy`.

    Raises:
        ValueError: the spaces are not those of action='priority', or observations are not as the environment shows
            them, between 0 and 1: normalise rewards only; or `use_sde` is asked for.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        width: int = 32,
        **settings: Any,
    ) -> None:
        if settings.get("use_sde"):
            raise ValueError("use_sde = True, allowed: False; the policy explores with a deviation of its own")
        self._layout, self._width = Layout.of(observation_space, action_space), width
        super().__init__(observation_space, action_space, lr_schedule, **settings)

    def _build(self, lr_schedule: Schedule) -> None:
        """Makes network, deviations and optimizer, as the base class asks for them."""
        self.mlp_extractor: Any = EquivariantNetwork(self._layout, self._width)
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(self._width, 1)
        deviations = [DEVIATION.get(name, USUAL_DEVIATION) for name in self._layout.components]
        self.log_std = nn.Parameter(torch.log(torch.tensor(deviations)))
        optimizer: Any = self.optimizer_class
        self.optimizer = optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        layout = self._layout
        entries = [layout.entries_of(name) for name in layout.components]
        log_std = torch.cat([own.expand(n) for own, n in zip(self.log_std.split(1), entries, strict=True)])
        assert isinstance(self.action_dist, DiagGaussianDistribution)
        return self.action_dist.proba_distribution(latent_pi, log_std)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "width": self._width}


def _pool(each: Tensor, available: Tensor) -> Tensor:
    """[B, 2 width] mean and largest over the available clients."""
    weight = available[:, :, None]
    mean = (each * weight).sum(1) / weight.sum(1).clamp(min=1.0)
    # The hidden layer is above -1: an unavailable client is never the largest.
    return torch.cat([mean, torch.where(weight > 0, each, -1.0).amax(1)], 1)
