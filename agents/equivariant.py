"""A policy that treats all clients alike: one set of weights for any number of them, in any order."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from splitgym.envs.observation import PER_CLIENT, SCALARS

NEVER = -1e4
"""Logit of what cannot be chosen."""


class Layout:
    """Where client and cell stand in the observations of the `schedule` encoding.

    Raises:
        ValueError: the spaces are not those of the `schedule` encoding.
    """

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        if not isinstance(action_space, spaces.MultiDiscrete) or not isinstance(observation_space, spaces.Box):
            raise ValueError(f"action_space = {action_space}, allowed: that of the 'schedule' encoding")
        self.cuts, *in_or_out, self.levels = action_space.nvec.tolist()
        self.clients = len(in_or_out)
        first = len(PER_CLIENT) * self.clients + len(SCALARS)
        extra = observation_space.shape[0] - first
        if set(in_or_out) != {2} or extra not in (0, 1, self.clients, self.clients + 1):
            raise ValueError(f"action_space = {action_space}, allowed: that of the 'schedule' encoding")
        self.shows_present = extra >= self.clients
        self.shows_bandwidth = extra % self.clients == 1


def unsquash(value: Tensor) -> Tensor:
    """log(x / reference) of a quantity shown as x / (x + reference), within -5..5."""
    return torch.logit(value.clamp(0.0067, 0.9933))


class Tokens(nn.Module):
    WIDTH = 17
    CELL = 10

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        lay, c = self.layout, self.layout.clients
        per = observation[:, : len(PER_CLIENT) * c].view(-1, len(PER_CLIENT), c)
        scal = observation[:, len(PER_CLIENT) * c : len(PER_CLIENT) * c + len(SCALARS)]
        first = len(PER_CLIENT) * c + len(SCALARS)
        present = observation[:, first : first + c] if lay.shows_present else torch.ones_like(per[:, 0])
        band = observation[:, -1:] if lay.shows_bandwidth else torch.full_like(scal[:, :1], 0.5)
        channel, compute, loss, share, available, took, held = per.unbind(1)
        there = available * present
        n = there.sum(1, keepdim=True).clamp(min=1)
        band = unsquash(band)
        slow_link, slow_cpu = -torch.log(torch.clamp(torch.exp(unsquash(channel)), 1e-3)) - band, -unsquash(compute)
        los = unsquash(loss)
        feats = [slow_link, slow_cpu, los]
        out = []
        for f in feats:
            mean = (f * there).sum(1, keepdim=True) / n
            rel = f - mean
            # how many are below
            below = ((f[:, :, None] > f[:, None, :]).float() * there[:, None, :]).sum(2)
            out += [f / 2, rel / 1.0, below / n, torch.log1p(below)]
        out += [unsquash(share), there, took, held, (los - (los * there).sum(1, keepdim=True) / n) * took]
        tok = torch.stack(out, 2)
        cell = torch.cat([scal, band, torch.log(n) - 2, unsquash(scal[:, :1]) / 2, unsquash(scal[:, 3:4])], 1)
        return tok, cell, there, present


class Trunk(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inp = nn.Linear(Tokens.WIDTH + Tokens.CELL, width)
        self.mid = nn.Linear(3 * width, width)
        self.cellw = nn.Linear(2 * width + Tokens.CELL, width)

    def forward(self, tok: Tensor, cell: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        w = there[:, :, None]
        n = w.sum(1).clamp(min=1)
        x = torch.tanh(self.inp(torch.cat([tok, cell[:, None].expand(-1, tok.shape[1], -1)], 2)))
        def pool(x: Tensor) -> Tensor:
            return torch.cat([(x * w).sum(1) / n, (x - 2 * (1 - w)).amax(1).clamp(min=-1)], 1)
        p = pool(x)
        x = torch.tanh(self.mid(torch.cat([x, p[:, None].expand(-1, x.shape[1], -1)], 2)))
        g = torch.tanh(self.cellw(torch.cat([pool(x), cell], 1)))
        return x, g


class Net(nn.Module):
    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.tokens = Tokens(layout)
        self.actor, self.critic = Trunk(width), Trunk(width)
        self.client = nn.Linear(2 * width, 1)
        self.cut = nn.Linear(width, layout.cuts)
        self.phi = nn.Linear(width, layout.levels)
        self.latent_dim_pi = layout.cuts + layout.clients + layout.levels
        self.latent_dim_vf = width
        for head in (self.client, self.cut, self.phi):
            nn.init.orthogonal_(head.weight, 0.01)
            nn.init.zeros_(head.bias)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_actor(observation), self.forward_critic(observation)

    def forward_actor(self, observation: Tensor) -> Tensor:
        tok, cell, there, _ = self.tokens(observation)
        x, g = self.actor(tok, cell, there)
        sel = self.client(torch.cat([x, g[:, None].expand(-1, x.shape[1], -1)], 2))[:, :, 0]
        sel = torch.where(there > 0, sel, NEVER)
        return torch.cat([self.cut(g), sel, self.phi(g)], 1)

    def forward_critic(self, observation: Tensor) -> Tensor:
        tok, cell, there, _ = self.tokens(observation)
        return self.critic(tok, cell, there)[1]


class ScheduleDistribution(Distribution):
    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        return nn.Identity()

    def proba_distribution(self, logits: Tensor) -> "ScheduleDistribution":
        lay = self.layout
        cut, sel, phi = torch.split(logits, [lay.cuts, lay.clients, lay.levels], 1)
        self.cut, self.phi = torch.log_softmax(cut, 1), torch.log_softmax(phi, 1)
        self.sel = sel
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        actions = actions.long()
        sel = actions[:, 1:-1].float()
        lp = -nn.functional.binary_cross_entropy_with_logits(self.sel, sel, reduction="none").sum(1)
        return lp + self.cut.gather(1, actions[:, :1])[:, 0] + self.phi.gather(1, actions[:, -1:])[:, 0]

    def entropy(self) -> Tensor:
        p = torch.sigmoid(self.sel)
        e = nn.functional.binary_cross_entropy_with_logits(self.sel, p, reduction="none").sum(1)
        return e - (self.cut.exp() * self.cut).sum(1) - (self.phi.exp() * self.phi).sum(1)

    def sample(self) -> Tensor:
        cut = torch.multinomial(self.cut.exp(), 1)
        phi = torch.multinomial(self.phi.exp(), 1)
        sel = torch.bernoulli(torch.sigmoid(self.sel)).long()
        return torch.cat([cut, sel, phi], 1)

    def mode(self) -> Tensor:
        return torch.cat([self.cut.argmax(1, True), (self.sel > 0).long(), self.phi.argmax(1, True)], 1)

    def actions_from_params(self, logits: Tensor, deterministic: bool = False) -> Tensor:
        self.proba_distribution(logits)
        return self.get_actions(deterministic)

    def log_prob_from_params(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        a = self.actions_from_params(logits)
        return a, self.log_prob(a)


class EquivariantPolicy(ActorCriticPolicy):
    def __init__(self, *args: Any, width: int = 32, **kw: Any) -> None:
        self.width = width
        super().__init__(*args, **kw)

    def _build_mlp_extractor(self) -> None:
        self.layout = Layout(self.observation_space, self.action_space)
        self.mlp_extractor = Net(self.layout, self.width)

    def _build(self, lr_schedule: Any) -> None:
        self._build_mlp_extractor()
        self.action_dist = ScheduleDistribution(self.layout)
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(self.mlp_extractor.latent_dim_vf, 1)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        return self.action_dist.proba_distribution(latent_pi)
