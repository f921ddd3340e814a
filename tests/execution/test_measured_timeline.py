import numpy as np
import pytest

from splitgym.execution.timeline import ROUND, errors, spans, table, to_csv


def made():
    """Two rows of two clients and a round; client 1's second phase is 10 % long, the round 5 %."""
    start, stop = np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 4.0]])
    measured = np.array([[0.0, 0.0], [np.nan, 2.0]]), np.array([[1.0, 2.0], [np.nan, 4.2]])
    return spans(3, ("client_fp", "uplink"), (start, stop, 4.0), (*measured, 4.2), [0, 1], complete=True)


def test_errors_are_of_how_long_a_phase_lasts():
    found = errors(made())
    assert found["client_fp"] == pytest.approx([0.0, 0.0])
    assert found["uplink"] == pytest.approx([0.1])  # Client 0 has none.
    assert found[ROUND] == pytest.approx([0.05])
    assert list(found)[-1] == ROUND


def test_the_table_says_median_and_largest():
    lines = table(made(), scale=0.02).splitlines()
    assert lines[-1].split()[-5:] == ["s", "5.00", "%", "5.0", "%"]
    short = [line for line in lines if line.startswith("50 ms or more")]
    assert not short  # 2 s are 40 ms at this scale.
    assert any(line.startswith("50 ms or more") for line in table(made(), scale=1.0).splitlines())


def test_rounds_in_which_somebody_was_lost_do_not_count():
    lost = [span for span in made() if span.stage == ROUND]
    lost = [type(span)(**{**vars(span), "complete": False}) for span in lost]
    assert table(lost, 1.0) == "no round was complete"
    assert to_csv(lost).splitlines()[1] == "3,round,-1,0.0,4.0,0.0,4.2,False"
