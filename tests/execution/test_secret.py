import socket
from threading import Thread

import pytest

from splitgym.execution.frames import Kind, ProtocolError
from splitgym.execution.gathering import gather
from splitgym.execution.link import Link, address_of
from splitgym.execution.secret import (
    SHORTEST,
    VARIABLE,
    RefusedError,
    new_secret,
    prove_to_client,
    prove_to_server,
    secret_of,
)
from splitgym.inputs import InputError

SECRET, OTHER = b"the same for everybody", b"that of somebody else"


def outcome(prove, link, secret, found):
    try:
        prove(link, secret)
        found[prove] = None
    except (ProtocolError, EOFError, OSError) as error:
        found[prove] = error
        link.close()


def both(of_server, of_client):
    """What each side makes of the other's secret."""
    server, client = map(Link, socket.socketpair())
    found = {}
    other = Thread(target=outcome, args=(prove_to_server, client, of_client, found))
    other.start()
    outcome(prove_to_client, server, of_server, found)
    other.join()
    server.close()
    client.close()
    return found[prove_to_client], found[prove_to_server]


def test_who_knows_the_secret_is_let_in_on_both_sides():
    assert both(SECRET, SECRET) == (None, None)


def test_who_has_another_secret_is_refused():
    of_server, of_client = both(SECRET, OTHER)
    assert isinstance(of_server, RefusedError)
    assert isinstance(of_client, RefusedError)


def test_a_server_without_the_secret_cannot_pass_for_the_server():
    server, client = map(Link, socket.socketpair())
    found = {}
    thread = Thread(target=outcome, args=(prove_to_server, client, SECRET, found))
    thread.start()
    server.send(Kind.CHALLENGE, body=bytes(32))
    answer = server.expect(Kind.PROOF)
    server.send(Kind.PROOF, body=bytes(answer[32:]))  # The client's own proof sent back.
    thread.join()
    assert isinstance(found[prove_to_server], RefusedError)


def test_a_proof_cannot_be_used_again():
    server, client = map(Link, socket.socketpair())
    thread = Thread(target=outcome, args=(prove_to_server, client, SECRET, {}))
    thread.start()
    server.send(Kind.CHALLENGE, body=bytes(32))
    heard = bytes(server.expect(Kind.PROOF))
    server.close()
    thread.join()
    again, thief = map(Link, socket.socketpair())
    found = {}
    thread = Thread(target=outcome, args=(prove_to_client, again, SECRET, found))
    thread.start()
    thief.expect(Kind.CHALLENGE)
    thief.send(Kind.PROOF, body=heard)
    thread.join()
    assert isinstance(found[prove_to_client], RefusedError)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n" * 3, bytes(200), b"SPLT" + b"\xff" * 100])
def test_strangers_are_refused_and_the_server_goes_on(said):
    told = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def come():
            with socket.create_connection(address) as stranger:
                stranger.sendall(said)
            wrong = Link(socket.create_connection(address))
            outcome(prove_to_server, wrong, OTHER, {})
            right = Link(socket.create_connection(address))
            prove_to_server(right, SECRET)
            right.close()

        thread = Thread(target=come)
        thread.start()
        (link,) = gather(listener, 1, SECRET, told.append, ())
        thread.join()
        link.close()
    assert [line.split(" from ")[0] for line in told[:-1]] == ["refused a connection"] * 2
    assert not any("\n" in line for line in told)


def test_a_secret_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_text(f"  {new_secret()}\n")
    assert secret_of(file) == file.read_bytes().strip()
    monkeypatch.setenv(VARIABLE, "x" * SHORTEST)
    assert secret_of(None) == b"x" * SHORTEST


def test_no_secret_or_a_short_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(InputError, match=VARIABLE):
        secret_of(None)
    file = tmp_path / "secret"
    file.write_text("x" * (SHORTEST - 1))
    with pytest.raises(InputError, match="15 bytes, allowed: 16 or more"):
        secret_of(file)


@pytest.mark.parametrize(("text", "address"), [("[::1]:80", ("::1", 80)), ("edge.example:0", ("edge.example", 0))])
def test_an_address_is_host_and_port(text, address):
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "host:x", "host:65536", "host:-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="HOST:PORT"):
        address_of(text)
