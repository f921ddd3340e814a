"""What the tests of agents share: a policy of every algorithm, trained a little."""

import pytest
from small_trainings import trained

from agents import algorithms
from agents.training import jobs


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """The folder of each, for the toy."""
    folder = tmp_path_factory.mktemp("policies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "VALIDATIONS", 2)
        return {name: trained(folder / name, name) for name in algorithms.ALGORITHMS}
