"""Which process may talk to which: both sides prove that they know the secret, without saying it.

Each answers with the HMAC of numbers that both have drawn.

What follows is neither encrypted nor signed: between machines use a network that you trust, or a tunnel.
"""

import hmac
import os
import secrets
from pathlib import Path

from splitgym.execution.frames import Kind, ProtocolError
from splitgym.execution.link import Link
from splitgym.files import read_bytes
from splitgym.inputs import InputError, reading

VARIABLE = "SPLITGYM_SECRET"
"""Environment variable with the secret."""
SHORTEST = 16
"""Bytes of a secret."""
NONCE_BYTES = MAC_BYTES = 32
HANDSHAKE_S = 10.0
"""Time for a proof."""


class RefusedError(ProtocolError):
    """The other side does not know the secret."""


def secret_of(file: Path | None) -> bytes:
    """The secret in a file, without white space around it, or else in the environment.

    Raises:
        InputError: there is none, or it is too short.
    """
    where = f"${VARIABLE}" if file is None else str(file)
    if file is None:
        found = os.environ.get(VARIABLE, "").encode()
    else:
        with reading(where):
            found = read_bytes(file)
    if len(found.strip()) < SHORTEST:
        raise InputError(
            f"secret in {where}: {len(found.strip())} bytes, allowed: {SHORTEST} or more, the same everywhere"
        )
    return found.strip()


def new_secret() -> str:
    """A secret for processes that are started here."""
    return secrets.token_hex(32)


def prove_to_client(link: Link, secret: bytes) -> None:
    """The server's side.

    Raises:
        RefusedError: the client does not know the secret.
        ProtocolError, OSError, EOFError: it is no client.
    """
    link.wait_at_most(HANDSHAKE_S)
    own = secrets.token_bytes(NONCE_BYTES)
    link.send(Kind.CHALLENGE, body=own)
    answer = bytes(link.expect(Kind.PROOF, exactly=NONCE_BYTES + MAC_BYTES))
    other, proof = answer[:NONCE_BYTES], answer[NONCE_BYTES:]
    if not hmac.compare_digest(proof, _mac(secret, b"client", own, other)):
        raise RefusedError("it has another secret")
    link.send(Kind.PROOF, body=_mac(secret, b"server", own, other))


def prove_to_server(link: Link, secret: bytes) -> None:
    """The client's side.

    Raises:
        RefusedError: the server has refused the secret, or does not know it.
        ProtocolError, OSError: it is no server.
    """
    link.wait_at_most(HANDSHAKE_S)
    other = bytes(link.expect(Kind.CHALLENGE, exactly=NONCE_BYTES))
    own = secrets.token_bytes(NONCE_BYTES)
    link.send(Kind.PROOF, body=own + _mac(secret, b"client", other, own))
    try:
        proof = bytes(link.expect(Kind.PROOF, exactly=MAC_BYTES))
    except (EOFError, ConnectionError) as error:
        raise RefusedError("the server has refused this client: it has another secret") from error
    if not hmac.compare_digest(proof, _mac(secret, b"server", other, own)):
        raise RefusedError("the server has another secret")


def _mac(secret: bytes, who: bytes, of_server: bytes, of_client: bytes) -> bytes:
    return hmac.digest(secret, b"splitgym " + who + of_server + of_client, "sha256")
