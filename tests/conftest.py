"""What all tests share: one torch thread, so that results repeat and cores are not fought over."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    import torch  # noqa: PLC0415 - slow to import, and collecting tests does not need it

    torch.set_num_threads(1)
