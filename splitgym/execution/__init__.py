"""Rounds on real processes: a server and clients that train over sockets, beside the simulator that plays the same.

`splitgym execute` is the command; see the manual's page on execution.
"""
