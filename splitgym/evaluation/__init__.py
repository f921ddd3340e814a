"""Comparing schedulers: episodes on common seeds, one table, one plot."""

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
