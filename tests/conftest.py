"""What all tests share: one torch thread, so that results repeat and cores are not fought over; no deadlines."""

import pytest
from hypothesis import settings

# The first example of a test may have to compile; how long an example takes is nobody's promise.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    import torch  # noqa: PLC0415 - slow to import, and collecting tests does not need it

    torch.set_num_threads(1)
