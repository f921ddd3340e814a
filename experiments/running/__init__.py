"""How every experiment is run: jobs in processes or on a cluster, resumed after a stop, saved with what made them."""

from experiments.running.experiment import Case, Experiment, Row, at_least

__all__ = ["Case", "Experiment", "Row", "at_least"]
