"""Measures of episodes, and their tables, against numbers worked out by hand."""

from played import EPISODES, episode

from splitgym.evaluation import episode_table, round_table


def test_measures_of_an_episode_by_hand():
    played = episode()  # latencies 1, 2, 3, 4; 10 J per second; target 0.6 after the second round
    assert (played.target_round, played.reached) == (1, True)
    assert played.time_to_target_s == 3.0
    assert played.energy_to_target_j == 30.0


def test_measures_of_an_episode_that_missed_the_target_by_hand():
    missed = episode(target=0.95)
    assert (missed.target_round, missed.reached) == (None, False)
    assert missed.time_to_target_s == 20.0
    assert missed.energy_to_target_j == 100.0


def test_target_in_the_first_round_counts():
    first = episode(accuracy=(0.7, 0.1))
    assert (first.target_round, first.time_to_target_s, first.energy_to_target_j) == (0, 1.0, 10.0)


def test_a_round_that_ends_after_the_time_budget_does_not_count():
    late = episode(accuracy=(0.2, 0.5, 0.9), budget=5.0)  # the rounds end at 1, 3 and 6 s
    assert not late.reached
    assert late.time_to_target_s == 5.0
    assert late.final_accuracy == 0.5
    assert episode(accuracy=(0.9,), budget=0.5).final_accuracy == 0.1


def test_episode_table_has_a_row_per_episode_in_order():
    table = episode_table(EPISODES)
    assert table[["agent", "seed"]].to_numpy().tolist() == [["fast", 0], ["fast", 1], ["slow", 0], ["slow", 1]]
    assert set(table["scenario"]) == {"s"}
    assert table["time_to_target_s"].tolist() == [3, 1, 20, 10]
    assert table["reached"].tolist() == [True, True, False, True]
    assert table["final_accuracy"].tolist() == [0.9, 0.8, 0.9, 0.9]
    assert table["round_latency_s"].tolist() == [2.5, 1.5, 2.5, 2.5]
    assert table["energy_to_target_j"].tolist() == [30, 10, 100, 100]
    assert table["rounds"].tolist() == [4, 2, 4, 4]
    assert table["target_accuracy"].tolist() == [0.6, 0.6, 0.95, 0.9]
    assert set(table["time_budget_s"]) == {20.0}


def test_round_table_has_a_row_per_round():
    table = round_table([*EPISODES, episode("fast", 2, accuracy=(0.1, 0.2, 0.7))])
    assert len(table) == 4 + 4 + 4 + 2 + 3
    fast = table[(table["agent"] == "fast") & (table["seed"] == 2)]
    assert fast["round"].tolist() == [1, 2, 3]
    assert fast["elapsed_s"].tolist() == [1, 3, 6]
    assert fast["accuracy"].tolist() == [0.1, 0.2, 0.7]
