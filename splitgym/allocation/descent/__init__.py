"""The project's allocation: subchannels, powers and plan, down to a local optimum."""
