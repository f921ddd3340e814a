"""Books of random letters, for tests that need no real text."""

import numpy as np
import pytest

from splitgym.data import sources, text


@pytest.fixture
def books(monkeypatch):
    """66 books; each begins anew with letters of its own liking."""
    rng = np.random.default_rng(0)

    def book() -> np.ndarray:
        chances = rng.dirichlet(np.full(len(text.ALPHABET), 0.1))
        return rng.choice(len(text.ALPHABET), int(rng.integers(900, 2500)), p=chances).astype(np.uint8)

    made = [book() for _ in range(66)]
    monkeypatch.setattr(text, "books", lambda: made)
    sources._kjv.cache_clear()
    yield made
    sources._kjv.cache_clear()
