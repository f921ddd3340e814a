"""Comparing schedulers: episodes on common seeds, one table, one plot."""

try:
    import pandas  # noqa: F401 - of the extra that the tables and plots need
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("splitgym.evaluation needs: pip install 'splitgym[train]'") from error

from splitgym.evaluation.episodes import AgentFactory, Episode, compare, run_episode
from splitgym.evaluation.plots import plot_accuracy
from splitgym.evaluation.tables import episode_table, markdown, readable, round_table, summary_table

__all__ = [
    "AgentFactory",
    "Episode",
    "compare",
    "episode_table",
    "markdown",
    "plot_accuracy",
    "readable",
    "round_table",
    "run_episode",
    "summary_table",
]
