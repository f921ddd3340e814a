"""What a training has saved survives that it dies at any step of saving: the best policy with its card, the learner."""

from dataclasses import replace
from itertools import count
from math import inf

import pytest
import torch
from dying import Died, Steps
from safetensors.torch import load_file
from small_trainings import learner, toy, trained
from stable_baselines3.common.logger import Logger

import agents
from agents import policy_file
from agents.policy_file import Card, card_file, digest, read_card
from agents.training.checkpoints import Checkpoints
from agents.training.learner_file import load_learner, save_learner, steps_done
from agents.training.run_folder import PolicyFolder
from agents.training.validation import Score

COSTS = (5.0, 3.0, 4.0)
"""Of three policies in turn."""


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("first"), "ppo-equivariant", steps=64)


class Made(Checkpoints):
    """Policies whose weights and costs are made up."""

    def __init__(self, folder, card, model):
        super().__init__(folder, 1, lambda _, score: replace(card, score=score.facts))
        model.set_logger(Logger(None, []))
        self.init_callback(model)
        self._on_training_start()

    def _score(self):
        raise NotImplementedError

    def save(self, number):
        """The policy of that number: all its weights have that value."""
        with torch.no_grad():
            for weights in self.model.policy.parameters():
                weights.fill_(number)
        self.num_timesteps = self.model.num_timesteps = number + 1
        self._save(Score(COSTS[number], {"made_up": COSTS[number]}))


def kept(folder):
    """Number of the policy that is kept, as its weights say, after a look whether an agent can act by it."""
    agent = agents.make("ppo-equivariant", toy("ppo-equivariant", learner="surrogate"), policy=folder.path)
    assert agent.card.weights == agent.digest == digest(folder.policy)
    weights = load_file(folder.policy.with_suffix(".safetensors"))
    (number,) = {float(value) for tensor in weights.values() for value in tensor.flatten()[:2]}
    assert agent.card.cost == agent.card.score["made_up"] == COSTS[int(number)]
    return int(number)


def test_a_training_that_dies_at_any_step_of_saving_has_lost_nothing(first, tmp_path):
    card, model = Card.read(first / "policy.toml"), learner(first, "ppo-equivariant")
    for at in count():
        folder = PolicyFolder(tmp_path / str(at))
        folder.path.mkdir()
        saved = -1
        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, at)
            try:
                training = Made(folder, card, model)
                for number in range(len(COSTS)):
                    training.save(number)
                    saved = number
            except Died:
                pass
        if saved >= 0 or policy_file.weights_file(folder.policy).exists():
            # What was reported as saved is there, or something better that was about to be.
            assert COSTS[kept(folder)] <= min(COSTS[: saved + 1], default=inf)
            assert steps_done(folder.last) in (saved + 1, saved + 2)
            assert folder.progress().steps <= steps_done(folder.last)
        if saved == len(COSTS) - 1:
            assert at > 20
            return
        # It goes on from the learner that was saved, and ends as if it had not died.
        training = Made(folder, card, model)
        for number in range(steps_done(folder.last), len(COSTS)):
            training.save(number)
        assert (kept(folder), steps_done(folder.last)) == (1, 3)
        assert not list(folder.path.glob("policy.*.unfinished"))


def test_a_copy_that_dies_leaves_a_policy_with_its_card(first, tmp_path):
    """The other policy is of another run."""
    for at in count():
        stem = tmp_path / "policy"
        card, model = Card.read(first / "policy.toml"), learner(first, "ppo-equivariant")
        with torch.no_grad():
            next(model.policy.parameters()).add_(1.0)
        policy_file.save(stem, model.policy, replace(card, seed=77))
        other = digest(stem)
        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, at)
            try:
                policy_file.copy(first / "policy", stem)
            except Died:
                found = Card.read(card_file(stem))
                assert found.weights == digest(stem) in (other, digest(first / "policy"))
                assert found.seed == (77 if digest(stem) == other else 0)
                continue
        assert Card.read(stem.with_suffix(".toml")) == Card.read(first / "policy.toml")
        assert at > 4
        return


def test_an_unfinished_card_of_other_weights_is_not_read(first, tmp_path):
    for path in first.glob("policy.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (first / "policy.toml").read_text()
    for content in (text.replace('weights = "', 'weights = "0'), "half a ca", ""):
        (tmp_path / "policy.toml.unfinished").write_text(content)
        assert card_file(tmp_path / "policy") == tmp_path / "policy.toml"
        assert read_card(tmp_path / "policy", agents.algorithms.get("ppo-equivariant")).seed == 0


@pytest.mark.parametrize("name", ["ppo", "recurrent-ppo", "tqc"])
def test_a_learner_comes_back_to_the_bit(name, policies, tmp_path):
    model = learner(policies[name], name)
    save_learner(tmp_path / "again.safetensors", model)
    again, before = load_file(tmp_path / "again.safetensors"), load_file(policies[name] / "last.safetensors")
    assert again.keys() == before.keys()
    assert all(torch.equal(again[key], value) for key, value in before.items())
    # Independently: the names of torch for the state of Adam.
    assert {key.rpartition("/")[2] for key in before if "optimizer" in key} == {"step", "exp_avg", "exp_avg_sq"}
    assert model.num_timesteps == steps_done(policies[name] / "last.safetensors") > 0
    assert model._n_updates > 0


def test_a_learner_of_another_algorithm_is_refused(policies):
    with pytest.raises(ValueError, match="its algorithm is 'PPO with ActorCriticPolicy', not 'TQC with TQCPolicy'"):
        load_learner(policies["ppo"] / "last.safetensors", learner(policies["tqc"], "tqc"))
