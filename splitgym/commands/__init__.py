"""Commands of `python -m splitgym`, one in each file."""
