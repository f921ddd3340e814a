import os

import numpy as np
import pytest

from splitgym import data


@pytest.mark.parametrize("name", ["digits", "mnist", "ham10000"])
def test_dimensions_are_those_of_the_data(name):
    if name != "digits" and not os.environ.get("SPLITGYM_DATA"):
        pytest.skip("needs SPLITGYM_DATA")
    dataset = data.load(name, np.random.default_rng(0), train_samples=100)
    assert data.dimensions(name) == (dataset.input_shape, len(dataset.classes))
