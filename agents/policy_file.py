"""A trained policy as two files: its weights, and a card that says what they are. Nothing in them is executed."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
import torch
from gymnasium import spaces
from pydantic import Field
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from stable_baselines3.common.policies import BasePolicy

from splitgym.envs.actions import components_of
from splitgym.files import check_is_file, read_toml
from splitgym.inputs import InputError, reading
from splitgym.outputs import unfinished, write, write_together

from . import algorithms
from .algorithms import Algorithm
from .records import record

MOST_WEIGHTS_BYTES = 2**32
"""Of a file of weights."""
TIMES_THE_WEIGHTS = 16
"""Weights between layers as wide as a policy's arguments say are at most so many times those in its file."""


class PolicyError(InputError):
    """A trained policy is missing, broken, or of another environment; the message says which."""


Cost = Annotated[float, Field(ge=-1e300, allow_inf_nan=True)]
"""Infinite: the target was never reached."""


@dataclass(frozen=True)
class Card:
    """What the weights are."""

    algorithm: str
    scenario: str
    """Name of the scenario it was trained in."""
    framework: str
    action: str
    """Encoding of its actions."""
    spaces: Mapping[str, str]
    """Of the environment it was trained in: "observation" and "action"; and what entries of an action say, "says"."""
    policy: Mapping[str, Any]
    """Keyword arguments of the policy's class."""
    command: str
    """That trained it."""
    learner: str
    """It was trained on: "surrogate" or "train"."""
    seed: int
    steps: int
    """Environment steps after which it was kept."""
    score: Mapping[str, float]
    """For which it was kept, in episodes that it has not learnt from."""
    versions: Mapping[str, str]
    training_steps: int | None = None
    """Environment steps of the whole training, over which learning rates fall."""
    torch_threads: int | None = None
    """Of the process that trained it: with another number sums are rounded otherwise."""
    largest_change: float | None = None
    """Of any weight, by the training."""
    cost: Cost | None = None
    """Of two policies of a training the one with the lower is better."""
    weights: str | None = None
    """SHA-256 of the file of the weights."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a card; what cards did not say at first is None where it is missing.

        Raises:
            PolicyError: it is missing or broken.
        """
        with reading(f"card {str(path)!r}", PolicyError):
            content = read_toml(path)
        expected = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if wrong := sorted((needed - set(content)) | (set(content) - expected)):
            raise PolicyError(f"card {str(path)!r} is broken: {wrong[0]} is {_fault(wrong[0] in expected)}")
        with reading(f"card {str(path)!r}", PolicyError):
            card = record(cls, content)
            if missing := sorted({"observation", "action"} - set(card.spaces)):
                raise ValueError(f"spaces.{missing[0]} is missing")
        return card


def save(stem: Path, policy: BasePolicy, card: Card) -> None:
    """Writes `stem`.safetensors and `stem`.toml; a kill leaves the former policy or the new one, see `card_file`."""
    weights = _weights(policy)
    facts = asdict(replace(card, weights=sha256(weights).hexdigest()))
    text = tomli_w.dumps({name: value for name, value in facts.items() if value is not None})
    _write_both(stem, weights, text.encode())


def save_weights(path: Path, policy: BasePolicy) -> None:
    """Writes the weights of a policy, as a whole."""
    weights = _weights(policy)
    write(path, lambda file: file.write(weights))


def _weights(policy: BasePolicy) -> bytes:
    return to_bytes({name: value.detach().cpu().contiguous() for name, value in policy.state_dict().items()})


def _write_both(stem: Path, weights: bytes, card: bytes) -> None:
    write_together({weights_file(stem): lambda file: file.write(weights), _card(stem): lambda file: file.write(card)})


def largest_change(since: Path, policy: BasePolicy) -> float | None:
    """Largest difference between any weight of a policy and what it was in a file; None: there is no such file."""
    if not since.exists():
        return None
    before = read_weights(since)
    return max(float((value.cpu() - before[name]).abs().max()) for name, value in policy.state_dict().items())


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a safetensors file, by name.

    Raises:
        PolicyError: the file is missing, broken or too large, or a weight is not finite; the message names it.
    """
    with reading(f"policy {str(path)!r}", PolicyError):
        check_is_file(path)
        if path.stat().st_size > MOST_WEIGHTS_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, allowed: up to {MOST_WEIGHTS_BYTES}")
        weights = load_file(path)
        for name, value in weights.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} holds NaN or infinity, allowed: finite numbers")
    return weights


def copy(stem: Path, to: Path) -> None:
    """Copies the two files of a policy."""
    _write_both(to, weights_file(stem).read_bytes(), card_file(stem).read_bytes())


def weights_file(stem: Path) -> Path:
    """Where the weights of a policy are."""
    return stem.with_name(f"{stem.name}.safetensors")


def card_file(stem: Path) -> Path:
    """Where the card of a policy is.

    It is unfinished by name only if the writer was killed after it had given the weights their name.
    """
    last = unfinished(_card(stem))
    with suppress(PolicyError):
        if last.exists() and Card.read(last).weights == digest(stem):
            return last
    return _card(stem)


def name_card(stem: Path) -> None:
    """Gives the card its name if the writer was killed before it could."""
    found = card_file(stem)
    if found != _card(stem):
        found.replace(_card(stem))


def _card(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.toml")


def digest(stem: Path) -> str:
    """What tells a policy from others: SHA-256 of the file of its weights.

    Raises:
        PolicyError: it cannot be read.
    """
    path = weights_file(stem)
    with reading(f"policy {str(path)!r}", PolicyError):
        return sha256(path.read_bytes()).hexdigest()


def read_card(stem: Path, of: Algorithm) -> Card:
    """What the policy is.

    Args:
        stem: Path of the two files without their endings.
        of: The algorithm it is expected to be of.

    Raises:
        PolicyError: the card is missing or broken, or that of another algorithm.
    """
    card = Card.read(card_file(stem))
    if card.algorithm != of.name:
        raise PolicyError(f"policy {str(stem)!r} is of algorithm {card.algorithm!r}, not {of.name!r}")
    if card.action not in of.actions:
        raise PolicyError(
            f"policy {str(stem)!r} acts with action={card.action!r}, allowed for {of.name!r}: {', '.join(of.actions)}"
        )
    return card


def load(stem: Path, card: Card, observation: spaces.Space[Any], action: spaces.Space[Any]) -> BasePolicy:
    """Builds the policy for an environment and fills in its weights.

    Args:
        stem: Path of the two files without their endings.
        card: What the policy is.
        observation: Space of the environment's observations.
        action: Space of the environment's actions, in the policy's encoding.

    Raises:
        PolicyError: the weights are missing or broken, or do not fit; the message says where.
    """
    path, of = weights_file(stem), algorithms.get(card.algorithm)
    needed = described(observation, action)
    for name in ("says",) if of.any_clients else needed:
        if card.spaces.get(name, needed[name]) != needed[name]:
            what = "actions that say" if name == "says" else f"{name} space"
            raise PolicyError(
                f"policy {str(path)!r} has {what} {card.spaces[name]}, this environment has {needed[name]}"
                f" with action={card.action!r}"
            )
    weights = read_weights(path)
    if card.weights not in (None, digest(stem)):
        raise PolicyError(f"policy {str(path)!r} has other weights than those of its card")
    _check_size(path, card, sum(value.numel() for value in weights.values()))
    try:
        # Initial weights are drawn; other draws stay as they were.
        with torch.random.fork_rng(devices=[]):
            policy = of.policy_class(observation, action, lambda _: 0.0, **card.policy)
    except Exception as error:  # Whatever a policy's class makes of the arguments in a card.
        raise PolicyError(f"policy {str(path)!r} cannot be built for this environment: {error}") from error
    _check(path, weights, policy.state_dict(), " for what it shows" if of.any_clients else "")
    policy.load_state_dict(weights)
    policy.set_training_mode(False)
    return policy


def fill_in(stem: Path, policy: BasePolicy) -> None:
    """Gives a policy the weights that are saved.

    Args:
        stem: Path of the two files without their endings.
        policy: Changed in place.

    Raises:
        PolicyError: the weights are missing or broken, or do not fit; the message says where.
    """
    path = weights_file(stem)
    weights = read_weights(path)
    _check(path, weights, policy.state_dict(), " for what is trained")
    policy.load_state_dict(weights)


def _check_size(path: Path, card: Card, weights: int) -> None:
    """Raises a PolicyError if the card says layers that are far too wide for so many weights, before they are made."""
    numbers = list(_numbers(card.policy))
    if sum(number**2 for number in numbers) > TIMES_THE_WEIGHTS * weights:
        raise PolicyError(
            f"policy {str(path)!r} does not fit: it has {weights} weights, its card says layers of {max(numbers)}"
        )


def _numbers(value: Any) -> Iterator[float]:
    """All numbers in lists and tables."""
    if isinstance(value, int | float):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _numbers(inner)


def described(observation: spaces.Space[Any], action: spaces.Space[Any]) -> dict[str, str]:
    """The spaces as a card says them."""
    return {
        "observation": " ".join(str(observation).split()),
        "action": " ".join(str(action).split()),
        "says": ", ".join(components_of(action)),
    }


def _check(path: Path, weights: Mapping[str, torch.Tensor], needed: Mapping[str, torch.Tensor], why: str) -> None:
    """Raises a PolicyError if weights are missing, too many, or of another shape or type than needed."""
    for name in sorted(weights.keys() | needed.keys()):
        if name not in weights or name not in needed:
            raise PolicyError(f"policy {str(path)!r} does not fit: {name} is {_fault(name in needed)}")
        has, should = tuple(weights[name].shape), tuple(needed[name].shape)
        if has != should:
            raise PolicyError(
                f"policy {str(path)!r} does not fit: {name} has shape {has}, this environment needs {should}{why}"
            )
        if weights[name].dtype != needed[name].dtype:
            raise PolicyError(
                f"policy {str(path)!r} does not fit: {name} is {weights[name].dtype}, needed: {needed[name].dtype}"
            )


def _fault(missing: bool) -> str:
    return "missing" if missing else "not expected"
