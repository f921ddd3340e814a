"""The oracle of a comparison: in every episode the best of those that nobody can be."""

from collections.abc import Collection

import pandas as pd

ORACLE = "oracle"
"""Its name among the agents."""


def with_oracle(episodes: pd.DataFrame, of: Collection[str]) -> pd.DataFrame:
    """The episodes with those of the oracle: of each scenario and seed a copy of the fastest one of some agents.

    Nobody knows beforehand who will be the fastest, and looks ahead besides, so that it is a bound for schedulers as
    far as those of whom it is made are good.

    Args:
        episodes: As `episode_table` makes it.
        of: The agents: look-aheads with several horizons, and rules.

    Raises:
        ValueError: none of these is among the agents.
    """
    own = episodes[episodes["agent"].isin(of)]
    if own.empty:
        raise ValueError(f"of = {sorted(of)}, allowed: agents of the episodes, at least one")
    fastest = own.loc[own.groupby(["scenario", "seed"])["time_to_target_s"].idxmin()]
    return pd.concat([episodes, fastest.assign(agent=ORACLE)], ignore_index=True)
