"""Commands of `splitgym`, one in each file."""
