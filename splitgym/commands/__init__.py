"""Commands of `python -m splitgym`, apart from those that it has itself."""
