"""A process that joins a server: as a client, or as the cloud, whatever the server says."""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from splitgym.execution.client_process import ClientProcess
from splitgym.execution.client_training import ClientTraining
from splitgym.execution.cloud_process import CloudProcess
from splitgym.execution.cloud_training import CloudTraining
from splitgym.execution.frames import Kind, ProtocolError, read_json
from splitgym.execution.link import EndedError, Link, address_of
from splitgym.execution.secret import prove_to_server, secret_of
from splitgym.execution.supported import HIERARCHICAL, supported
from splitgym.execution.u_shaped_client import UShapedClient
from splitgym.inputs import InputError
from splitgym.scenario import build
from splitgym.scenario.nodes import CLOUD

PASSED_OVER = (Kind.RATE,)
"""What a server may say of a row that is over."""


def join(server: str, secret_file: Path | None) -> None:
    """Takes part in the rounds of a server, HOST:PORT, until it ends.

    Raises:
        InputError: there is no secret, or the server does not know it.
        OSError: there is no server.
    """
    address, secret = address_of(server), secret_of(secret_file)
    torch.set_num_threads(1)
    link = Link(socket.create_connection(address), PASSED_OVER)
    try:
        prove_to_server(link, secret)
        take_part(link)
    except (EOFError, ConnectionError) as error:
        raise InputError(f"the server at {server} has gone ({type(error).__name__})") from error
    finally:
        link.close()


def take_part(link: Link) -> None:
    """Takes part in the rounds of a server that knows the secret, until it ends.

    Raises:
        EOFError, OSError: the server has gone.
        ProtocolError: it says what cannot be.
    """
    link.wait_at_most(None)
    with suppress(EndedError):
        _party(link, read_json(link.expect(Kind.WELCOME))).run()


def _party(link: Link, welcome: dict[str, Any]) -> ClientProcess | CloudProcess:
    """Who this process is.

    Raises:
        ProtocolError: that is not possible.
    """
    try:
        scenario, name, seed = build(dict(welcome["scenario"])), str(welcome["framework"]), int(welcome["seed"])
        client = welcome["client"]
        index = -1 if client == CLOUD else int(client)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"frame WELCOME: {error}") from error
    framework = supported(scenario, name)
    if client == CLOUD and name in HIERARCHICAL:
        return CloudProcess(link, CloudTraining(scenario, framework, seed))
    if not 0 <= index < scenario.clients.count:
        raise ProtocolError(f"frame WELCOME: client = {client!r}, allowed: 0..{scenario.clients.count - 1}")
    kind = UShapedClient if framework.has_tail else ClientTraining
    return ClientProcess(link, kind(scenario, framework, seed, index))
