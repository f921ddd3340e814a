"""Spectrum and powers, in dBm and dB where the field's name says so; properties give the same in SI units."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from splitgym.scenario.quantities import Dbm, Fraction, Gain, Hertz, NoiseDbmPerHz, RatioDb, Subchannels
from splitgym.scenario.section import Section


def watts(dbm: float) -> float:
    """Converts a power (dBm) or a power spectral density (dBm/Hz) to W or W/Hz."""
    return 10 ** ((dbm - 30) / 10)


def _located(path: str) -> str:
    """The same file in every folder."""
    if not path.endswith(".npz"):
        raise ValueError("allowed: the path of an .npz file")
    return str(Path(path).resolve())


class Radio(Section):
    """Spectrum, powers, small-scale fading, and how clients share the spectrum."""

    carrier_hz: Hertz = Field(3.5e9, description="Carrier frequency, Hz.")
    subchannels: Subchannels = Field(20, description="Number of subchannels M.")
    subchannel_hz: Hertz = Field(10e6, description="Bandwidth B of a subchannel, Hz.")
    noise_psd_dbm_per_hz: NoiseDbmPerHz = Field(-174.0, description="Noise power spectral density N0, dBm/Hz.")
    antenna_gain: Gain = Field(1.0, description="Product G of the antenna gains, linear (no unit).")
    client_power_max_dbm: Dbm = Field(23.0, description="Transmit power budget p_max of each client, dBm.")
    total_power_max_dbm: Dbm = Field(40.0, description="Transmit power budget p_th of all clients together, dBm.")
    downlink_psd_dbm_per_hz: Dbm = Field(-50.0, description="Transmit PSD p_DL of the base station, dBm/Hz.")
    fading: Literal["none", "rayleigh", "rician"] = Field(
        "rayleigh", description="Block fading; rician: on links with line of sight, the others are Rayleigh."
    )
    rician_factor_db: RatioDb = Field(9.0, description="Rician K factor, dB.")
    fading_correlation: Fraction = Field(
        0.9, description="Correlation of the complex fading coefficient from one round to the next."
    )
    trace: Annotated[str, AfterValidator(_located)] | None = Field(
        None,
        description="Path of an .npz file whose `gains` [rounds, C, M], or [episodes, rounds, C, M], are the linear "
        "power gains of the rounds, antenna gains included, in the place of path loss, shadowing and fading.",
    )
    sharing: Literal["static", "on-demand"] = Field(
        "static",
        description="on-demand: subchannels and power that are idle at a moment go to clients that send or receive "
        "then, and the server works for clients whose data has arrived, where it need not wait for all of them.",
    )
    frequency_reuse: Literal["coordinated", "universal"] = Field(
        "coordinated",
        description="With several rows of `stations`. coordinated: each subchannel is used once in all cells together; "
        "universal: every station uses all subchannels, and what others send on the same one interferes.",
    )

    @property
    def noise_psd_w_per_hz(self) -> float:
        """N0 in W/Hz."""
        return watts(self.noise_psd_dbm_per_hz)

    @property
    def client_power_max_w(self) -> float:
        """p_max in W."""
        return watts(self.client_power_max_dbm)

    @property
    def total_power_max_w(self) -> float:
        """p_th in W."""
        return watts(self.total_power_max_dbm)

    @property
    def downlink_psd_w_per_hz(self) -> float:
        """p_DL in W/Hz."""
        return watts(self.downlink_psd_dbm_per_hz)
