"""Every field says what it is and in which unit; conversions against numbers worked out by hand."""

import pytest

from splitgym.scenario import Scenario, Section, build, load

# Longest ending first: a name's unit is that of its longest known ending.
UNITS = {
    "_dbm_per_hz": "dBm/Hz",
    "_m_per_s": "m/s",
    "_bits_per_s": "bits/s",
    "_hz": ("Hz", "cycles/s"),
    "_dbm": "dBm",
    "_db": "dB",
    "_s": "s",
    "_m": "m",
}


def sections(model=Scenario):
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation)


FIELDS = [(model, name) for model in sections() for name in model.model_fields]


def ids(value):
    return value if isinstance(value, str) else value.__name__


def test_there_are_fields_of_all_models():
    assert len({model for model, _ in FIELDS}) == 18


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=ids)
def test_field_has_a_description(model, name):
    description = model.model_fields[name].description
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize(
    ("model", "name"), [(m, n) for m, n in FIELDS if any(n.endswith(ending) for ending in UNITS)], ids=ids
)
def test_description_names_the_unit_of_the_field(model, name):
    ending = next(ending for ending in UNITS if name.endswith(ending))
    units = UNITS[ending] if isinstance(UNITS[ending], tuple) else (UNITS[ending],)
    words = model.model_fields[name].description.replace(",", " ").replace(";", " ").replace(".", " ").split()
    words = [word.strip("()") for word in words]
    assert any(unit in words for unit in units), words


@pytest.mark.parametrize(
    ("field", "dbm", "si_name", "si"),
    [
        ("noise_psd_dbm_per_hz", -174.0, "noise_psd_w_per_hz", 3.981071705534969e-21),
        ("noise_psd_dbm_per_hz", -130.0, "noise_psd_w_per_hz", 1e-16),
        ("client_power_max_dbm", 0.0, "client_power_max_w", 0.001),
        ("client_power_max_dbm", 30.0, "client_power_max_w", 1.0),
        ("client_power_max_dbm", 31.76, "client_power_max_w", 1.4996848355023747),
        ("total_power_max_dbm", 36.99, "total_power_max_w", 5.000345349769783),
        ("downlink_psd_dbm_per_hz", -50.0, "downlink_psd_w_per_hz", 1e-8),
    ],
)
def test_dbm_becomes_watts(field, dbm, si_name, si):
    radio = build({"radio": {field: dbm}}).radio
    assert getattr(radio, si_name) == pytest.approx(si, rel=1e-12)


def test_presets_carry_the_values_of_the_seed_documents():
    edge6g, epsl = load("edge6g"), load("epsl")
    assert edge6g.radio.subchannels * edge6g.radio.subchannel_hz == 70e6
    assert (edge6g.clients.compute_min_hz, edge6g.clients.compute_max_hz) == (0.1e9, 0.5e9)
    assert (edge6g.server.compute_hz, edge6g.task.partition, edge6g.task.dataset) == (7e9, "iid", "ham10000")
    assert (epsl.clients.count, epsl.cell.radius_m, epsl.radio.subchannels, epsl.radio.subchannel_hz) == (
        5,
        200,
        20,
        10e6,
    )
    assert (epsl.clients.cycles_per_flop, epsl.server.cycles_per_flop) == (1 / 16, 1 / 32)
    three_tier = load("three-tier")
    for section in ("cell", "radio", "clients", "server", "task", "training", "episode"):
        assert getattr(three_tier, section) == getattr(edge6g, section)
    assert three_tier.cloud.compute_hz == 20e9
    assert (epsl.training.batch_size, epsl.training.aggregation_ratio) == (64, 0.5)


def test_defaults_are_a_valid_scenario():
    assert Scenario() == build({})
