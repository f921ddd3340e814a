"""Rules whose parameters were tuned to a scenario on training seeds of the surrogate: what has to be beaten.

`python -m splitgym.agents.training.tune_rules --scenario iot` tunes them and writes what it found to the table.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.files import read_toml
from splitgym.inputs import InputError, reading
from splitgym.parts import suggest
from splitgym.scenario import in_commands
from splitgym.schedulers.index import Index
from splitgym.schedulers.rule import Rule
from splitgym.schedulers.scheduler import Heuristic
from splitgym.types import Decision, RoundState

TABLE = Path(__file__).parent / "tuned" / "rules.toml"
FIXED = "best-fixed"
"""The rule that holds the cut layer, too, and looks at no loss."""
INDEX = "index"
"""The rule of `splitgym.schedulers.index`; the others are those of `splitgym.schedulers.rule`."""
NOVELTY = "unified-novelty"
"""`unified` with the novelty of classes as its measure."""
RULES = (FIXED, "fastest-k", "highest-loss-k", "loss-per-second-k", "deadline", "unified", NOVELTY, INDEX)


class TunedRule(Heuristic):
    """A rule with the parameters, cut layer and phi that take the shortest time to the target on the surrogate.

    Args:
        env: The environment.
        rule: One of `RULES`. `index`: as `splitgym.schedulers.index.Index`. `best-fixed`: the same cut layer, phi and
            number of clients in every round, the fastest or in round robin. The others select as their names say, at a
            cut layer that is held or searched. Subchannels and powers are those of the descent.
        scenario: For which it was tuned; None: the environment's.

    Raises:
        ValueError: there is no such rule.
        InputError: it was not tuned for a scenario of that name, the message says how to; or the table is broken.
    """

    def __init__(self, env: gym.Env[Any, Any], rule: str, scenario: str | None = None) -> None:
        super().__init__(env)
        check_rule(rule)
        name = scenario or self.env.scenario.name
        options = options_of(rule, name)
        made: type[Heuristic] = Index if rule == INDEX else Rule
        with reading(f"rule {rule!r} of scenario {name!r} in {str(TABLE)!r}"):
            self._rule = made(self.env, **options)

    @property
    def aggregation_ratio(self) -> float:
        """That of the rule."""
        return self._rule.aggregation_ratio

    def decide(self, state: RoundState) -> Decision:
        """What the rule says."""
        return self._rule.decide(state)

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action of the rule."""
        return self._rule.act(observation, info)


def options_of(rule: str, scenario: str) -> dict[str, Any]:
    """What was found for a rule in a scenario.

    Raises:
        InputError: it was not tuned for a scenario of that name, the message says how to; or the table is broken.
    """
    tuned = {of: rules for of, rules in table().items() if rule in rules}
    if scenario not in tuned:
        raise InputError(
            f"{rule!r} is not tuned for scenario {scenario!r} in {str(TABLE)!r}, allowed: {', '.join(tuned) or 'none'};"
            f" tune it with: python -m splitgym.agents.training.tune_rules --scenario {in_commands(scenario)}"
            f" --rules {rule}"
        )
    with reading(f"rule {rule!r} of scenario {scenario!r} in {str(TABLE)!r}"):
        return dict(tuned[scenario][rule]["options"])


def check_rule(rule: str) -> None:
    """Raises a ValueError if no rule of that name is tuned."""
    if rule not in RULES:
        raise ValueError(f"rule = {rule!r} is unknown, {suggest(rule, RULES)}")


def table() -> dict[str, Any]:
    """What was tuned: by scenario, by rule.

    Raises:
        InputError: the table is broken.
    """
    if not TABLE.exists():
        return {}
    with reading(f"table of rules {str(TABLE)!r}"):
        found = read_toml(TABLE)
        for scenario, rules in found.items():
            for rule, entry in rules.items():
                if not isinstance(entry, dict):
                    raise TypeError(f"{scenario}.{rule} = {entry!r}, allowed: a table")
    return found
