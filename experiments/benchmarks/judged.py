"""The measured rounds against what they are to reach."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from experiments.benchmarks.subjects import BASELINES, COPIES, LOOP, PLAIN, Subject
from experiments.benchmarks.tables import KEYS

PHI_0, PHI_1 = Subject("epsl", 0.0).label, Subject("epsl", 1.0).label
PHI_1_BF16 = Subject("epsl", 1.0, "bf16").label
FEWEST, MOST = 5, 100


@dataclass(frozen=True)
class Verdict:
    """A criterion and what was measured."""

    text: str
    value: float
    """NaN: not measured."""
    limit: float
    at_most: bool
    note: str = ""

    def line(self) -> str:
        """A row of the table."""
        if pd.isna(self.value):
            return f"| {self.text} | | not measured |"
        met = self.value <= self.limit if self.at_most else self.value >= self.limit
        bound = f"{'at most' if self.at_most else 'at least'} {self.limit:g}"
        return f"| {self.text}: {bound} | {self.value:.3f}{self.note} | {'met' if met else '**not met**'} |"


def judged(table: pd.DataFrame) -> str:
    """A Markdown table of all criteria, from `tables.summary`."""
    verdicts = [*_residual_networks(table), _small_networks(table), *_growth(table)]
    return "\n".join(["| criterion | measured | |", "|---|---:|---|", *(verdict.line() for verdict in verdicts)])


def _residual_networks(table: pd.DataFrame) -> Iterator[Verdict]:
    for pixels in (32, 64):
        five = table.query("model == 'resnet18' and pixels == @pixels and clients == 5 and batch == 64 and cut == 2")
        name = f"ResNet-18, {pixels} px, 5 x 64"
        for reference in ("centralised", PLAIN):
            yield Verdict(f"{name}: EPSL phi = 0 / {reference}", _ratio(five, PHI_0, reference), 1.05, True)
            yield Verdict(f"{name}: EPSL phi = 1 / {reference}", _ratio(five, PHI_1, reference), 0.62, True)
        for label, limit in (("psl", 1.1), (PHI_1, 1.7), (PHI_1_BF16, 3.0)):
            yield Verdict(f"{name}: {label} times as fast as {COPIES}", _ratio(five, COPIES, label), limit, False)
    twenty = table.query("model == 'resnet18' and pixels == 32 and clients == 20 and batch == 64 and cut == 2")
    yield Verdict("ResNet-18, 32 px, 20 x 64: EPSL phi = 1 / phi = 0", _ratio(twenty, PHI_1, PHI_0), 0.5, True)


def _small_networks(table: pd.DataFrame) -> Verdict:
    """The smallest gain over the plain loop, of all settings of the small network."""
    text, limit = f"small CNN: psl times as fast as {LOOP}", 1.5
    found = table[(table["model"] == "cnn") & (table["framework"] == "psl") & table["times_loop"].notna()]
    if found.empty:
        return Verdict(text, float("nan"), limit, False)
    least = found.loc[found["times_loop"].idxmin()]
    met = int((found["times_loop"] >= limit).sum())
    where = f" (least of {len(found)}: {least['clients']} x {least['batch']}, cut {least['cut']}; met in {met})"
    return Verdict(text, least["times_loop"], limit, False, where)


def _growth(table: pd.DataFrame) -> Iterator[Verdict]:
    """Time per row with the most clients relative to that with the fewest: of psl, and of who grows most."""
    frameworks = table[~table["framework"].str.startswith(tuple(BASELINES))]
    for model in ("cnn", "resnet18"):
        own = frameworks[(frameworks["model"] == model) & frameworks["clients"].isin((FEWEST, MOST))]
        places = [name for name in (*KEYS, "framework") if name != "clients"]
        by_clients = own.assign(cost=1 / own["rows_per_s"]).pivot_table(index=places, columns="clients", values="cost")
        both = {FEWEST, MOST} <= set(by_clients.columns)
        growth = (by_clients[MOST] / by_clients[FEWEST]).dropna() if both else pd.Series(dtype=float)
        for who in ("psl", "any framework"):
            text = f"{model}: time per row of {who} from {FEWEST} to {MOST} clients"
            some = growth if who != "psl" or growth.empty else growth[growth.index.get_level_values("framework") == who]
            if some.empty:
                yield Verdict(text, float("nan"), 1.25, True)
                continue
            _, pixels, batch, cut, framework = some.idxmax()
            met = int((some <= 1.25).sum())
            where = f" (most of {len(some)}: {framework}, {pixels} px, b = {batch}, cut {cut}; met in {met})"
            yield Verdict(text, some.max(), 1.25, True, where)


def _ratio(table: pd.DataFrame, one: str, other: str) -> float:
    """Seconds of one subject over those of another; NaN if one was not measured."""
    seconds = dict(zip(table["framework"], table["seconds"], strict=True))
    return seconds[one] / seconds[other] if {one, other} <= seconds.keys() else float("nan")
