"""The cell: where the clients are, how well they are heard, how fast they compute, and what is known of it."""

from splitgym.network.network import Network
from splitgym.network.path_loss import line_of_sight_probability, path_loss_db, shadowing_deviation_db

__all__ = ["Network", "line_of_sight_probability", "path_loss_db", "shadowing_deviation_db"]
