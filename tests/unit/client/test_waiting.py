"""A port that is tried until it answers."""

from __future__ import annotations

import socket

from pyknockd.client.errands import Seen, Way
from pyknockd.client.sending import Address
from pyknockd.client.waiting import try_port

HERE = [Address(socket.AF_INET, "127.0.0.1")]


def test_a_port_that_answers_is_open_and_one_that_refuses_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = try_port(HERE, port, 5.0, Way())
        assert answer.seen is Seen.OPEN and answer.connection
        answer.connection.close()
    assert try_port(HERE, port, 0.05, Way()).seen is Seen.REFUSED
