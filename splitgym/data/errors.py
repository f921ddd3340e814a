"""The one error of this room."""


class DataError(ValueError):
    """Data are missing, malformed or too few for what is asked of them; one line."""
