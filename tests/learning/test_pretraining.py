"""The base model: trained once, kept, and the same for all."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from books import books  # noqa: F401 - a fixture

from splitgym.data import text
from splitgym.learning import pretraining
from splitgym.learning.pretraining import Recipe, frozen_tensors, kept_at, take_base_weights
from splitgym.models import build

SHORT = Recipe(steps=12, batch_size=8)


@pytest.fixture(autouse=True)
def cache(books, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SPLITGYM_CACHE", str(tmp_path))
    monkeypatch.setattr(pretraining, "base_text", text.base_text)
    return tmp_path


def network(seed: int = 0):
    return build("transformer", (1, 1, 64), len(text.ALPHABET), torch.Generator().manual_seed(seed))


def loss(made) -> float:
    codes = torch.from_numpy(text.base_text()[: 65 * 20].astype(np.int64)).view(20, 65)
    with torch.no_grad():
        logits = made(codes[:, None, None, :-1].float())
    return float(F.cross_entropy(logits.flatten(0, 1), codes[:, 1:].flatten()))


def test_it_learns_and_is_kept_for_all_who_come_later(cache, monkeypatch, capsys) -> None:
    first, later = network(0), network(1)
    begun, adapters = loss(first), [weight.clone() for weight in first.parameters()]
    take_base_weights(first, SHORT)
    assert loss(first) < begun
    assert capsys.readouterr().err == pretraining.NOTICE + "\n"
    assert [path.suffix for path in (cache / "base-models").iterdir()] == [".npz"]
    monkeypatch.setattr(pretraining, "_train", None)
    state = torch.get_rng_state()
    take_base_weights(later, SHORT)
    assert torch.equal(torch.get_rng_state(), state)
    assert capsys.readouterr().err == ""
    for name, tensor in frozen_tensors(first).items():
        assert torch.equal(tensor, frozen_tensors(later)[name])
        assert not tensor.requires_grad
    for weight, old in zip(first.parameters(), adapters, strict=True):
        assert torch.equal(weight, old)


def test_another_recipe_or_another_text_is_another_base(books) -> None:  # noqa: F811
    frozen, codes = frozen_tensors(network()), text.base_text()
    paths = {kept_at(SHORT, codes, frozen), kept_at(Recipe(), codes, frozen), kept_at(SHORT, codes[1:], frozen)}
    assert len(paths) == 3


def test_rates_rise_and_fall_to_nothing() -> None:
    rates = [Recipe(steps=100).rate(step) for step in range(100)]
    highest = int(np.argmax(rates))
    assert (highest, rates[highest]) == (10, Recipe().learning_rate)
    assert np.all(np.diff(rates[:11]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[-1] < 0.01 * rates[highest]
