"""One file per result; `python -m experiments list` names them."""
