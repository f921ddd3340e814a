"""How the clients of a run come together: processes that are started here, or those of other machines that join."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from splitgym.arrays import Ints
from splitgym.execution.frames import Kind, ProtocolError, pack_json, read_json
from splitgym.execution.link import FAULTS, Link, address_of
from splitgym.execution.measured import RemoteClient
from splitgym.execution.secret import VARIABLE, new_secret, prove_to_client, secret_of
from splitgym.frameworks import get
from splitgym.frameworks.segments import nodes_behind
from splitgym.inputs import InputError
from splitgym.scenario import Scenario

LONGEST_START_S = 600.0
"""Until a client has its data and its network."""
Say = Callable[[str], None]


@contextmanager
def started_here(count: int, port: int, secret: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Client processes that join the server at a port of this machine; they end with the block."""
    command = [sys.executable, "-m", "splitgym", "execute", "--join", f"127.0.0.1:{port}"]
    # Ctrl-C is for the server, which ends them.
    environment = {**os.environ, VARIABLE: secret}
    processes = [subprocess.Popen(command, env=environment, start_new_session=True) for _ in range(count)]
    try:
        yield processes
        for process in processes:
            process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def clients(count: int, listen: str | None, secret_file: Path | None, say: Say) -> Iterator[list[Link]]:
    """Links to so many clients: processes of this machine, or those that join.

    Args:
        count: C.
        listen: HOST:PORT where clients join; None: they are started here.
        secret_file: With the secret of those that join; None: the environment has it.
        say: Is told who comes.

    Raises:
        InputError: there is no secret, or a process has ended before it came.
        OSError: nothing can listen there.
    """
    if listen is not None:
        secret = secret_of(secret_file)
        with socket.create_server(address_of(listen)) as listener:
            host, port = listener.getsockname()[:2]
            say(f"waiting for {count} processes: python -m splitgym execute --join {host}:{port}, with the same secret")
            yield gather(listener, count, secret, say)
        return
    own = new_secret()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(f"starting {count} processes")
        with started_here(count, listener.getsockname()[1], own) as processes:
            yield gather(listener, count, own.encode(), say, processes)


def gather(
    listener: socket.socket,
    count: int,
    secret: bytes,
    say: Say,
    processes: Sequence["subprocess.Popen[bytes]"] = (),
) -> list[Link]:
    """Links to so many clients that know the secret; all others are refused.

    Args:
        listener: Where they come.
        count: How many are waited for.
        secret: That they have to know.
        say: Is told who comes.
        processes: Those that were started here.

    Raises:
        InputError: one of these has ended before it came.
    """
    links: list[Link] = []
    listener.settimeout(1.0)
    while len(links) < count:
        try:
            connection, where = listener.accept()
        except TimeoutError:
            if any(process.poll() is not None for process in processes):
                raise InputError("a client process has ended before it joined; its last line says why") from None
            continue
        link = Link(connection)
        try:
            prove_to_client(link, secret)
        except FAULTS as error:
            say(f"refused a connection from {where[0]}: {error or type(error).__name__}")
            link.close()
            continue
        links.append(link)
        if not processes:
            say(f"process {len(links)} of {count} has joined from {where[0]}")
    return links


def parties(scenario: Scenario, framework: str) -> list[int | str]:
    """Who joins a server: the indices of the clients, then the names of the nodes behind it."""
    return [*range(scenario.clients.count), *nodes_behind(get(framework).segments)]


def welcome(
    links: Sequence[Link], scenario: Scenario, framework: str, seed: int, say: Say
) -> tuple[list[RemoteClient], Ints, list[Link]]:
    """Tells all processes who they are and what is trained, and waits until they are ready.

    Returns:
        Clients, [C] samples of each, and links to the nodes behind the server.

    Raises:
        InputError: one is lost before the first round.
    """
    told = {"scenario": scenario.model_dump(mode="json"), "framework": framework, "seed": seed}
    who, clients = parties(scenario, framework), scenario.clients.count
    samples, begin_s = np.zeros(clients, np.int64), monotonic()
    try:
        for party, link in zip(who, links, strict=False):
            link.send(Kind.WELCOME, body=pack_json({**told, "client": party}))
        for party, link in zip(who, links, strict=False):
            link.wait_at_most(max(LONGEST_START_S + begin_s - monotonic(), 1.0))
            ready = read_json(link.expect(Kind.READY))
            if ready.get("torch") != torch.__version__:
                said = f"{ready.get('torch')}, the server {torch.__version__}"
                say(f"{_named(party)} has torch {said}: last bits may differ")
            if isinstance(party, str):
                continue
            if type(ready.get("samples")) is not int or not 0 < ready["samples"] < 2**40:
                raise ProtocolError(f"frame READY: samples = {ready.get('samples')!r}, allowed: a whole number from 1")
            samples[party] = ready["samples"]
    except FAULTS as error:
        raise InputError(f"{_named(party)} is lost before the first round: {error or type(error).__name__}") from error
    return [RemoteClient(link) for link in links[:clients]], samples, list(links[clients:])


def _named(party: int | str) -> str:
    return f"client {party}" if isinstance(party, int) else f"the {party}"
