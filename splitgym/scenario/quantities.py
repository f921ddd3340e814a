"""How small and how large a number of a scenario may be: one named range for each quantity.

Within these ranges, whatever the combination, no observation, reward, latency or energy is infinite or no number. Below
and above them nothing is built.
"""

from typing import Annotated

from pydantic import Field

Hertz = Annotated[float, Field(ge=1.0, le=1e13)]
"""A frequency or bandwidth, Hz, or the speed of a processor, cycles/s."""
Joules = Annotated[float, Field(ge=1e-9, le=1e12)]
Seconds = Annotated[float, Field(ge=1e-6, le=1e9)]
"""A budget of simulated time, up to thirty years."""
Metres = Annotated[float, Field(ge=1e-3, le=1e6)]
"""A distance, up to a thousand kilometres."""
MetresPerSecond = Annotated[float, Field(ge=0.0, le=1e5)]
"""A speed, from standing to faster than satellites."""
Dbm = Annotated[float, Field(ge=-200.0, le=100.0)]
"""A transmit power (dBm) or PSD (dBm/Hz): from below any noise to more than any transmitter has."""
NoiseDbmPerHz = Annotated[float, Field(ge=-250.0, le=0.0)]
"""A noise PSD."""
LossDb = Annotated[float, Field(gt=0.0, le=300.0)]
"""A path loss."""
RatioDb = Annotated[float, Field(ge=-100.0, le=100.0)]
"""A ratio of two powers."""
ErrorDb = Annotated[float, Field(ge=0.0, le=50.0)]
"""A standard deviation of a power."""
Gain = Annotated[float, Field(ge=1e-6, le=1e12)]
"""A linear gain of antennas, from -60 to 120 dB."""
CyclesPerFlop = Annotated[float, Field(ge=1e-9, le=1e9)]
"""What a FLOP costs a processor."""
Capacitance = Annotated[float, Field(ge=0.0, le=1e-10)]
"""An effective switched capacitance, J s^2/cycle^3."""
BitsPerSecond = Annotated[float, Field(ge=1.0, le=1e30)]
"""A rate of a wire, up to one that takes no time."""
Bytes = Annotated[float, Field(ge=1.0, le=1e18)]
"""A memory."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, or a probability."""
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
"""A factor on a speed, or a concentration."""
LearningRate = Annotated[float, Field(ge=1e-12, le=1e30)]
"""A step of an optimiser; large ones are not finite soon, and then train nothing."""

Range = tuple[float, float]
"""Lowest and highest value."""

Subchannels = Annotated[int, Field(ge=1, le=10_000)]
NodeCount = Annotated[int, Field(ge=1, le=100_000)]
"""Clients or clusters."""
Samples = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""Of a data set."""
BatchSize = Annotated[int, Field(ge=1, le=100_000)]
"""Samples or mini-batches in a round."""
Rounds = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""Of an episode: more than any run has."""
Delay = Annotated[int, Field(ge=0, le=1000)]
"""Rounds by which knowledge is old."""
Units = Annotated[int, Field(ge=0, le=1000)]
"""Of a network."""
UnitNumbers = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=1000)]
"""Some of them."""
FULL_BITS = 32
"""Of a number in float32."""
MOST_BITS = 16
"""Of a number in fixed point."""
Bits = Annotated[int, Field(ge=2, le=FULL_BITS)]
