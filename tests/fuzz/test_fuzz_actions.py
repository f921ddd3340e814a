"""Whatever the action: a step answers with finite numbers, or refuses it in one line and leaves the world as it was."""

import gymnasium as gym
import numpy as np
import pytest
from cases import cases, watchdog
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_dtypes, array_shapes, arrays, scalar_dtypes

import splitgym  # noqa: F401 - registers the environment
from splitgym.envs.actions import CODECS


@pytest.fixture(scope="module")
def envs():
    made = {name: gym.make("SplitLearning-v0", learner="surrogate", action=name).unwrapped for name in CODECS}
    for env in made.values():
        env.reset(seed=0)
    return made


ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.lists(st.integers(-3, 40), max_size=40),
    arrays(st.one_of(scalar_dtypes(), array_dtypes()), array_shapes(max_dims=3, max_side=30)),
)


@given(name=st.sampled_from(sorted(CODECS)), action=ANYTHING)
@cases(100)
def test_what_is_no_action_is_refused_in_one_line(envs, name, action):
    env = envs[name]
    if isinstance(action, np.ndarray) and action.dtype.kind in "iuf" and env.action_space.shape == action.shape:
        action = action[1:]
    before = env.observe()
    with watchdog((name, action)), pytest.raises(ValueError, match=r"^action = ") as refused:
        env.step(action)
    assert "\n" not in str(refused.value)
    np.testing.assert_array_equal(env.observe(), before)
