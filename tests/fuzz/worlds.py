"""Scenarios within the limits that their fields state, most of them at an edge."""

from math import inf, nextafter
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st

from splitgym.scenario import Scenario

WORLD = ("cell", "radio", "clients", "server", "cloud", "knowledge", "episode", "actions", "family")
"""Sections on which learning does not depend, so that a calibration holds whatever they say."""
SMALL = {"radio.subchannels": (1, 40), "knowledge.channel_delay_rounds": (0, 20)}
"""Fields of which large values only take time: lowest and highest that are drawn."""
ORDERED = (
    ("cell", "min_distance_m", "radius_m"),
    ("clients", "compute_min_hz", "compute_max_hz"),
)
"""Of two fields of a section the first must be the lower one."""


def limits(section, name):
    """The lowest and the highest value of a field, as its model states them."""
    low, high, field = -inf, inf, Scenario.model_fields[section].annotation.model_fields[name]
    for bound in field.metadata:
        low = bound.ge if isinstance(bound, Ge) else nextafter(bound.gt, inf) if isinstance(bound, Gt) else low
        high = bound.le if isinstance(bound, Le) else nextafter(bound.lt, -inf) if isinstance(bound, Lt) else high
    return SMALL.get(f"{section}.{name}", (low, high))


def values(section, name):
    """Legal values of a field: its edges, its default, and anything between; None: no such thing is drawn."""
    field = Scenario.model_fields[section].annotation.model_fields[name]
    kind = field.annotation
    if kind is bool:
        return st.booleans()
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind not in (int, float):
        return None
    low, high = limits(section, name)
    default = min(max(field.default, low), high)
    between = st.integers(low, high) if kind is int else st.floats(low, high)
    return st.one_of(st.sampled_from([low, high]), st.just(default), between)


def ranges(section, name):
    """Two values of another field, the lower one first."""
    return st.tuples(values(section, name), values(section, name)).map(sorted)


LEVELS = st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True).map(sorted)
FAMILY = {
    "compute_factor": st.tuples(st.sampled_from([1e-6, 1.0]), st.sampled_from([1.0, 1e6])),
    "radius_m": ranges("cell", "radius_m"),
    "subchannel_hz": ranges("radio", "subchannel_hz"),
}


def fields(section):
    """Values of some fields of a section."""
    if section == "family":
        return st.fixed_dictionaries({}, optional=FAMILY)
    if section == "actions":
        return st.fixed_dictionaries({}, optional={"aggregation_levels": LEVELS, "power_levels": LEVELS})
    drawn = {name: values(section, name) for name in Scenario.model_fields[section].annotation.model_fields}
    return st.fixed_dictionaries({}, optional={name: value for name, value in drawn.items() if value is not None})


@st.composite
def overrides(draw, clients):
    """Sections that are legal together; `clients`: fewest and most."""
    drawn = {section: draw(fields(section)) for section in WORLD}
    drawn["clients"]["count"] = draw(st.integers(*clients))
    for section, lower, higher in ORDERED:
        own = drawn[section]
        if lower in own or higher in own:
            first, second = sorted([draw(values(section, lower)), draw(values(section, higher))])
            own[lower], own[higher] = first, second
    cell, radio = drawn["cell"], drawn["radio"]
    if "radius_m" in cell and cell["min_distance_m"] == cell["radius_m"]:
        cell["min_distance_m"], cell["radius_m"] = 1e-3, 1e6
    for height in ("base_station_height_m", "client_height_m"):
        if cell.get("path_loss", "umi") == "umi" and cell.get(height, 2.0) <= 1:
            cell[height] = nextafter(1.0, 2.0)
    if cell.get("path_loss") == "mmwave-28ghz":
        radio["carrier_hz"] = draw(st.sampled_from([24e9, 30e9]))
    family = drawn["family"]
    if cell.get("mobility") == "road":
        cell["speed_m_per_s"] = 0.0
        family.pop("radius_m", None)
    if "radius_m" in family:
        cell["min_distance_m"], cell["radius_m"] = 1e-3, 1e6
        if family["radius_m"][0] <= 1e-3:
            family["radius_m"] = (2e-3, family["radius_m"][1] + 2e-3 if family["radius_m"][1] < 1 else 1e6)
    return drawn
