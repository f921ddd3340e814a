"""One file per result; `python -m experiments.NAME --help` says how it is run."""
