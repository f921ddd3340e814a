"""`splitgym experiments`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from splitgym.inputs import InputError


@dataclass(frozen=True)
class Experiments:
    """List and run the experiments of a checkout: `splitgym experiments list`, `splitgym experiments NAME --help`."""

    @staticmethod
    def run(arguments: Sequence[str]) -> int:
        """Hands the arguments on to `python -m experiments`; returns its exit status.

        Raises:
            InputError: splitgym is not installed from a checkout.
        """
        if find_spec("experiments") is None or find_spec("experiments.running") is None:
            raise InputError(
                "experiments run from a checkout only: clone the repository and pip install --editable '.[train]' there"
            )
        return int(import_module("experiments.__main__").main(list(arguments)))
