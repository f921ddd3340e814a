"""The one error of this room."""

from splitgym.inputs import InputError


class DataError(InputError):
    """Data are missing, malformed or too few for what is asked of them; one line."""
