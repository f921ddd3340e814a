"""The comparison of frameworks: its runs, its table from curves by hand."""

from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.frameworks import Cases
from experiments.frameworks.methods import TARGETS, TASKS, methods
from experiments.frameworks.report import plot, report, table
from experiments.frameworks.runs import measure
from splitgym.frameworks import names

SHORT = Cases(rounds=4, evaluate_every=2, partitions=("iid",))


def test_a_run_is_a_curve_of_rounds_and_simulated_seconds() -> None:
    (case,) = replace(SHORT, methods=("PSL",))(quick=False)
    curve = pd.DataFrame(measure(case, 3))
    assert list(curve["round"]) == [0, 2, 4]
    assert curve["elapsed_s"].is_monotonic_increasing
    assert curve["elapsed_s"].iloc[-1] > 0
    assert curve[["accuracy", "worst_accuracy", "balanced_accuracy"]].stack().between(0, 1).all()


def test_methods_share_cell_and_initial_network() -> None:
    cases = replace(SHORT, rounds=2, methods=("PSL", "SL", "FL"))(quick=False)
    assert len({measure(case, 3)[0]["accuracy"] for case in cases}) == 1


def test_every_framework_is_compared() -> None:
    """But those that train as PSL does, and the one that is compared with PSL by what it leaks."""
    others = {"hierarchical", "multi-hop", "async-psl", "async-sfl", "u-shaped"}
    assert {method.framework for method in methods(10).values()} == set(names()) - others


def curves() -> pd.DataFrame:
    """PSL ends at 98 and 96 %, EPSL(0.5) at 97 and 95 %; only PSL's first run reaches 97.5 %."""
    ends = {
        ("PSL", 0): (0.9, 0.98),
        ("PSL", 1): (0.8, 0.96),
        ("EPSL(0.5)", 0): (0.5, 0.97),
        ("EPSL(0.5)", 1): (0.5, 0.95),
    }
    rows = [
        {"method": method, "seed": seed, "partition": "iid", "round": r, "elapsed_s": 10.0 * r, "accuracy": accuracy}
        for (method, seed), values in ends.items()
        for r, accuracy in zip((0, 1, 2), (0.1, *values), strict=True)
    ]
    return pd.DataFrame(rows).assign(worst_accuracy=0.5, balanced_accuracy=0.4, loss=1.0)


def test_table_has_differences_on_the_same_seeds_and_times_to_targets() -> None:
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in table(curves(), "digits").splitlines()}
    assert rows["PSL"][0] == "97.0 ± 1.4"
    assert rows["EPSL(0.5)"][3] == "-1.0 ± 0.0"
    assert rows["PSL"][5] == "10.00"
    # 97 %: the first PSL run at 20 s, the second never; EPSL's first run has just 97 %.
    assert rows["PSL"][6] == "20 (1 of 2)"
    assert rows["EPSL(0.5)"][6] == "20 (1 of 2)"
    # Everybody reaches 95 %.
    assert rows["PSL"][7].rstrip(" |") == "20"


def test_table_of_unbalanced_data_has_the_majority_class() -> None:
    assert table(curves(), "ham10000").splitlines()[-1] == "| always the majority class | 66.9 | 14.3 | | | | | | |"
    assert "majority" not in table(curves(), "digits")


def test_plot_and_text_say_what_was_run() -> None:
    rows, figure = curves().assign(task="digits", rounds=2, cut_layer=1, precision="fp32"), Figure()
    plot(rows, figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["rounds", "simulated time (s)"]
    assert [line.get_label() for line in figure.axes[0].get_lines()[:2]] == ["PSL", "EPSL(0.5)"]
    assert report(rows).startswith("digits: 2 rounds, 2 seeds, cut layer 1, fp32.")


@pytest.mark.parametrize(
    ("field", "text"), [({"rounds": 0}, "--rounds 0"), ({"methods": ("PSLL",)}, "--methods 'PSLL' is unknown")]
)
def test_wrong_options_are_named(field: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(Cases(), **field)(quick=False)


def test_tasks_have_targets() -> None:
    assert set(TASKS) == set(TARGETS)
