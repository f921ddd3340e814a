"""Trains a scheduler, then compares it with the heuristics on held-out seeds: `splitgym train` from a checkout."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys

from agents.train import main

if __name__ == "__main__":
    sys.exit(main())
