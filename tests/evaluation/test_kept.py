"""Finished episodes are kept to the bit, are not played again, and never mix with those of something else."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import compare_in_this_process

import agents
from splitgym.evaluation import Episode, KeptEpisodes, OtherEpisodesError, compare, episode_table, runner
from splitgym.inputs import InputError

MADE_BY = {"learner": "surrogate", "agents": ("fixed", "random"), "torch": "2.13"}
MAKERS = {name: partial(agents.make, name) for name in MADE_BY["agents"]}
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def episodes(draw):
    rounds = draw(st.integers(1, 4))
    arrays = [np.array(draw(st.lists(finite, min_size=rounds, max_size=rounds))) for _ in range(4)]
    numbers = [draw(finite) for _ in range(3)]
    return Episode(draw(st.text()), draw(st.text()), draw(st.integers(0, 2**53)), *numbers[:2], *arrays, numbers[2])


def same(one, other):
    return one.key == other.key and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in Episode.__dataclass_fields__
    )


@given(played=st.lists(episodes(), max_size=3))
def test_episodes_come_back_to_the_bit(played, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "episodes.jsonl"
    kept = KeptEpisodes(path, MADE_BY)
    for episode in played:
        kept.add(episode)
    again = KeptEpisodes(path, MADE_BY).episodes
    assert len(again) == len(played)
    assert all(same(one, other) for one, other in zip(again, played, strict=True))


def played(kept=None):
    settings = {"learner": "surrogate", "episode": {"max_rounds": 4}}
    return list(compare(MAKERS, ["toy", "iot"], [3, 1, 2], settings, kept=kept))


def test_wherever_a_comparison_is_stopped_it_goes_on_and_plays_nothing_twice(tmp_path, monkeypatch):
    compare_in_this_process(monkeypatch)
    whole = episode_table(played())
    ran, play = [], runner._play

    def stopping(name, *others):
        if len(ran) % 6 == 5:
            ran.append(None)
            raise KeyboardInterrupt
        episode = play(name, *others)
        ran.append(episode.key)
        return episode

    monkeypatch.setattr(runner, "_play", stopping)
    path, stops, found = tmp_path / "episodes.jsonl", 0, None
    while found is None:
        try:
            found = played(KeptEpisodes(path, MADE_BY))
        except KeyboardInterrupt:
            stops += 1
    assert stops >= 2
    assert episode_table(found).equals(whole)
    # Of an episode that was played but not yet handed over nobody had heard.
    assert set(ran) - {None} == {episode.key for episode in found}
    assert len(path.read_text().splitlines()) == 1 + 12
    monkeypatch.setattr(runner, "_play", lambda *_: pytest.fail("plays again"))
    assert episode_table(played(KeptEpisodes(path, MADE_BY))).equals(whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"torch": "9.9"}, "torch is '9.9', was '2.13'"),
        ({"agents": ("fixed",)}, r"agents is \['fixed'\], was \['fixed', 'random'\]"),
        ({"policy of ppo": "12ab"}, "policy of ppo is '12ab', was None"),
    ],
)
def test_episodes_of_another_comparison_are_refused(tmp_path, change, words):
    path = tmp_path / "episodes.jsonl"
    KeptEpisodes(path, MADE_BY)
    before = path.read_bytes()
    with pytest.raises(OtherEpisodesError, match=f"holds episodes of another comparison: {words}"):
        KeptEpisodes(path, {**MADE_BY, **change})
    assert path.read_bytes() == before


EPISODE = Episode("toy", "fixed", 1, 0.8, 20.0, *(np.ones(2) for _ in range(4)), 0.1).to_json()


@pytest.mark.parametrize(
    "line",
    [
        *("", "3", "{}", "[]", '{"episode": 3}', '{"episode": {}}', "\0"),
        json.dumps({"episode": {**EPISODE, "elapsed_s": [1.0]}}),
        json.dumps({"episode": {**EPISODE, "elapsed_s": [1.0, float("nan")]}}),
        json.dumps({"episode": {**EPISODE, "accuracy": [[1.0], [2.0]]}}),
        json.dumps({"episode": {**EPISODE, "seed": "first"}}),
    ],
)
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "episodes.jsonl"
    KeptEpisodes(path, MADE_BY)
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"line 2 of .*episodes\.jsonl is broken"):
        KeptEpisodes(path, MADE_BY)


def test_a_file_that_does_not_say_what_made_it_is_refused(tmp_path):
    path = tmp_path / "episodes.jsonl"
    for content in ("", json.dumps({"episode": EPISODE}) + "\n"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"episodes\.jsonl is broken: its first line does not say"):
            KeptEpisodes(path, MADE_BY)


def test_scenarios_of_the_same_name_are_refused():
    with pytest.raises(InputError, match="scenarios are named 'toy', 'toy', allowed: names that differ"):
        next(compare(MAKERS, ["toy", "toy"], [1], {"learner": "surrogate"}))
