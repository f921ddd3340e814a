"""A policy that treats all clients alike: one set of weights for any number of them, in any order."""

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agents.tokens import CELL_COMPONENTS, FEATURES, OF_CELL, Layout, Tokens, tokens

DEVIATION = {"cut_layer": 0.4, "client_weight": 0.3, "latency_exponent": 0.3, "phi": 0.3}
"""Standard deviations with which an untrained policy explores."""
FIRST = {"cut_layer": -0.6, "latency_exponent": 0.0, "phi": -0.5}
"""What an untrained policy expects of the cell's components: an early cut layer, clients per second, no aggregation."""


class Pooling(nn.Module):
    """Clients, each with what all of them have in common (Zaheer et al. 2017, deep sets, twice).

    Args:
        width: Numbers in each hidden layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.each = nn.Linear(FEATURES + OF_CELL, width)
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


class EquivariantNetwork(nn.Module):
    """Actor and critic.

    Args:
        layout: Of the environment; no weight depends on it.
        width: Numbers in each hidden layer.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self._layout = layout
        self.actor, self.critic = Pooling(width), Pooling(width)
        # Weights of clients in the selection; saved policies know the layer by this name.
        self.worth = nn.Linear(2 * width, 1)
        self.cell = nn.Linear(width, CELL_COMPONENTS)
        for head in (self.worth, self.cell):
            nn.init.orthogonal_(head.weight, 0.01)
            nn.init.zeros_(head.bias)
        with torch.no_grad():
            self.cell.bias.copy_(torch.tensor(list(FIRST.values())))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C + 3] means of the action, and [B, width] for the value."""
        seen = tokens(observation, self._layout)
        return self._act(seen), self.critic(seen)[1]

    def forward_actor(self, observation: Tensor) -> Tensor:
        """[B, C + 3] means of the action."""
        return self._act(tokens(observation, self._layout))

    def forward_critic(self, observation: Tensor) -> Tensor:
        """[B, width] for the value."""
        of_all: Tensor = self.critic(tokens(observation, self._layout))[1]
        return of_all

    def _act(self, seen: Tokens) -> Tensor:
        """[B, C + 3] means of the action: cut layer, logarithmic weight of each client, latency exponent, phi."""
        each, of_all = self.actor(seen)
        client_weight = self.worth(torch.cat([each, of_all[:, None].expand_as(each)], 2))[:, :, 0]
        cut_layer, latency_exponent, phi = self.cell(of_all).split(1, 1)
        return torch.cat([cut_layer, client_weight, latency_exponent, phi], 1)


class EquivariantPolicy(ActorCriticPolicy):
    """Policy class for Stable-Baselines3's PPO and A2C in environments with `action="priority"`.

    Renumbering the clients renumbers their weights in the selection and changes nothing else, so a network that is
    trained with some number of clients acts with any other: `load_state_dict` takes it.

    Args:
        observation_space: Of the environment.
        action_space: Of the environment.
        lr_schedule: Learning rate over the remaining progress.
        width: Numbers in each hidden layer.
        **settings: Of `ActorCriticPolicy`.

    Raises:
        ValueError: the spaces are not those of action='priority' with a framework that aggregates, or observations are
            not as the environment shows them, between 0 and 1: normalise rewards only; or `use_sde` is asked for.
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
        self.log_std = nn.Parameter(torch.log(torch.tensor(list(DEVIATION.values()))))
        optimizer: Any = self.optimizer_class
        self.optimizer = optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        cut_layer, client_weight, latency_exponent, phi = self.log_std.split(1)
        log_std = torch.cat([cut_layer, client_weight.expand(self._layout.clients), latency_exponent, phi])
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
