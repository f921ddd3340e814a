"""A scheduler looks the same in every plot, and no two of one plot look alike."""

from hypothesis import given
from hypothesis import strategies as st

import agents
from splitgym.evaluation.look import COLOURS, looks

NAMES = tuple(name for name in agents.names() if name != "tuned")


def test_every_scheduler_has_a_look_of_its_own():
    assert len(set(looks(NAMES).values())) == len(NAMES)


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.lists(st.text(min_size=1), max_size=3))
def test_a_scheduler_looks_the_same_whatever_it_is_compared_with(names, others):
    foreign = [f"mine{number}:{text}" for number, text in enumerate(others)]
    drawn = looks([*names, *foreign])
    assert list(drawn) == [*names, *foreign]
    assert all(drawn[name] == looks([name])[name] for name in names)


def test_variants_share_the_colour_and_differ_in_the_line_style():
    names = (
        "unified",
        "unified:w=0",
        "tuned:rule=unified",
        "tuned:aggregation_ratio=0,rule=unified",
        "unified:w=0 phi=0",
    )
    drawn = looks(names)
    assert {look.colour for look in drawn.values()} == {looks(["unified"])["unified"].colour}
    assert len({look.style for look in drawn.values()}) == len(names)


def test_foreign_names_get_the_colours_that_are_left():
    drawn = looks(["greedy", "hungry:Hungry", "Ours"])
    assert len({look.colour for look in drawn.values()}) == 3
    assert all(look.colour in COLOURS for look in drawn.values())


def test_more_names_than_looks_are_drawn_all_the_same():
    assert len(looks([f"name-{n}" for n in range(60)])) == 60


def test_many_variants_of_one_colour_are_told_apart() -> None:
    names = ["ppo-equivariant", "ppo", "maskable-ppo", "recurrent-ppo", *(f"untrained:seed={n}" for n in range(4))]
    assert len(set(looks(names).values())) == len(names)
