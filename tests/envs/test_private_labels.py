"""What comes from labels is absent where labels are private: in state, observation, rules and policies."""

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees

import agents
import splitgym  # noqa: F401 - registers the environment
from splitgym import schedulers
from splitgym.allocation.selection.novelty import novelty
from splitgym.allocation.selection.rules import FirstK
from splitgym.envs.features import SHIPPED, Feature
from splitgym.scenario import ScenarioError

FROM_LABELS = {"loss", "diversity", "novelty"}
READERS = ("highest-loss-k", "loss-per-second-k", "unified")


def made(framework: str = "u-shaped", labels: str | None = None, **arguments: object) -> gym.Env:
    knowledge = {} if labels is None else {"knowledge": {"labels": labels}}
    options = {"scenario": "toy", "framework": framework, "action": "schedule", **knowledge, **arguments}
    return gym.make("SplitLearning-v0", disable_env_checker=True, **options).unwrapped


def shown(env: gym.Env) -> set[str]:
    return {name.partition("[")[0] for name in env.observation_names}


@pytest.mark.parametrize(
    ("framework", "labels", "known"),
    [
        ("u-shaped", None, False),
        ("u-shaped", "private", False),
        ("u-shaped", "reported", True),
        ("psl", None, True),
        ("psl", "private", False),
        ("fl", None, True),
    ],
)
def test_state_and_observation_have_them_only_where_they_are_known(framework: str, labels: str, known: bool) -> None:
    env = made(framework, labels)
    observation, _ = env.reset(seed=0)
    assert FROM_LABELS & shown(env) == (FROM_LABELS if known else set())
    for _ in range(3):
        state = env.state
        assert state.client_loss.shape == ((2,) if known else (0,))
        assert state.class_share.shape == ((2, 10) if known else (2, 0))
        assert np.isfinite(observation).all()
        observation, *_ = env.step(env.action_space.sample())


def test_what_is_shown_all_the_same_is_what_it_was() -> None:
    open_, private = made("psl"), made("psl", "private")
    kept = [k for k, name in enumerate(open_.observation_names) if name.partition("[")[0] not in FROM_LABELS]
    seen, hidden = (env.reset(seed=3)[0] for env in (open_, private))
    for _ in range(4):
        np.testing.assert_array_equal(seen[kept], hidden)
        action = open_.action_space.sample()
        (seen, reward, *_), (hidden, other, *_) = (env.step(action) for env in (open_, private))
        assert reward == other


def test_nothing_else_of_an_observation_depends_on_labels() -> None:
    """Labels are permuted among the clients' samples before the episode; until a round trains all stays the same."""
    env, other = (made(task={"partition": kind, "dirichlet_alpha": 0.1}) for kind in ("iid", "dirichlet"))
    skip = [k for k, name in enumerate(env.observation_names) if name.startswith(("data_share", "accuracy"))]
    one, two = (np.delete(each.reset(seed=1)[0], skip) for each in (env, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("feature", sorted(FROM_LABELS))
def test_features_that_are_asked_for_by_name_are_refused(feature: str) -> None:
    assert {each.name for each in SHIPPED if each.from_labels} == FROM_LABELS
    with pytest.raises(ScenarioError, match=rf"observation: feature '{feature}' comes from labels, which are private"):
        made(observation=("channel", feature))
    made(labels="reported", observation=("channel", feature))


def test_ones_own_feature_that_reads_them_fails_at_once() -> None:
    env = made(observation=(Feature("mine", "client", "of the loss", lambda state: state.client_loss / 10),))
    with pytest.raises(ValueError, match=r"feature 'mine' gives shape \(1, 0\), allowed: \[N, C\]"):
        env.reset(seed=0)


@pytest.mark.parametrize("name", READERS)
def test_rules_that_read_them_are_refused_when_they_are_made(name: str) -> None:
    with pytest.raises(ValueError, match=rf"selection = '{name}' reads what comes from labels, which are private"):
        schedulers.make(name, made())
    schedulers.make(name, made(labels="reported"))


def test_all_other_rules_play() -> None:
    env = made()
    played = 0
    for name in schedulers.names():
        if name in READERS or name in ("tuned", "best-fixed", "gpsl", "rollout"):
            continue
        env.reset(seed=0)
        agent = schedulers.make(name, env)
        for _ in range(2):
            *_, info = env.play(agent.decide(env.state))
            played += bool(info["participants"].any())
    assert played > 20


class Curious(FirstK):
    """Reads losses without saying so."""

    def order(self, prospect, k):
        return prospect.clients[np.argsort(-prospect.state.client_loss[prospect.clients])]


def test_reading_what_is_not_there_fails_at_once() -> None:
    env = made()
    env.reset(seed=0)
    with pytest.raises(IndexError):
        schedulers.make("greedy", env, selection=Curious).decide(env.state)
    with pytest.raises(ValueError, match="labels are private"):
        novelty(env.state)


def test_a_policy_that_needs_them_says_so() -> None:
    env = made("epsl", "private", action="priority")
    with pytest.raises(ValueError, match=r"does not fit: .* this environment needs .* for what it shows"):
        agents.make("ppo-equivariant", env)


def test_vector_environments_hide_them_too() -> None:
    assert_vector_agrees(3, 3, scenario="toy", framework="u-shaped", action="schedule")
