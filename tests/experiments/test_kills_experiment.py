"""What is said of processes that were killed, of rows made by hand; that they are killed tests of execution show."""

import pandas as pd

from experiments.kills import CLIENTS, EXPERIMENT, cases, report


def made(**changed):
    row = {"framework": "psl", "sharing": "static", "kills": 1, "seed": 0, "moment": 0.5, "equal": 1, "longest_s": 0.2}
    return {**row, "party": "client 2", "stage": "uplink", "end": "the round counts it", "as_expected": 1, **changed}


def test_thirty_processes_are_killed_and_somebody_is_left():
    assert sum(case["kills"] for case in EXPERIMENT.cases(False)) == 30
    assert all(case["kills"] < CLIENTS for case in cases(False))


def test_what_is_not_as_expected_is_counted_and_shown():
    text = report(pd.DataFrame([made(), made(equal=0, as_expected=0), made(longest_s=3.25, stage="")]))
    assert "3 processes were killed; 2 of them" in text
    assert "lasted 3.2 s longer" in text
    assert [line.split("|")[7].strip() for line in text.splitlines() if line.startswith("| psl")] == [
        "yes",
        "NO",
        "yes",
    ]
