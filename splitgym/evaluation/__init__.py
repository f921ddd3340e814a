"""Comparing schedulers: episodes on common seeds, statistics that can be trusted, tables, plots, a report."""

from splitgym.inputs import MissingExtraError

try:
    import pandas  # noqa: F401 - of the extra that the tables and plots need
except ModuleNotFoundError as error:
    raise MissingExtraError("splitgym.evaluation needs: pip install 'splitgym[train]'") from error

from splitgym.evaluation.comparison import ALL, Comparison
from splitgym.evaluation.episodes import Episode
from splitgym.evaluation.frame import client_frame, round_frame, write_frames
from splitgym.evaluation.kept import KeptEpisodes, OtherEpisodesError
from splitgym.evaluation.log import EpisodeLog
from splitgym.evaluation.oracle import ORACLE, with_oracle
from splitgym.evaluation.plots import plot_accuracy, plot_profiles, plot_times, plot_trade_off
from splitgym.evaluation.report import notes, write_report
from splitgym.evaluation.runner import HELD_OUT, AgentFactory, Until, compare, run_episodes
from splitgym.evaluation.tables import episode_table, markdown, on_screen, readable, round_table

__all__ = [
    "ALL",
    "HELD_OUT",
    "ORACLE",
    "AgentFactory",
    "Comparison",
    "Episode",
    "EpisodeLog",
    "KeptEpisodes",
    "OtherEpisodesError",
    "Until",
    "client_frame",
    "compare",
    "episode_table",
    "markdown",
    "notes",
    "on_screen",
    "plot_accuracy",
    "plot_profiles",
    "plot_times",
    "plot_trade_off",
    "readable",
    "round_frame",
    "round_table",
    "run_episodes",
    "with_oracle",
    "write_frames",
    "write_report",
]
