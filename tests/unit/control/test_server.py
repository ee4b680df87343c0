"""The socket that knockctl speaks to, with real clients."""

from __future__ import annotations

import os
import resource
import select
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyknockd.control.protocol import MOST_REQUEST_BYTES
from pyknockd.control.server import (
    IDLE_SECONDS,
    MOST_ANSWER_BYTES,
    MOST_CLIENTS,
    PAUSE_SECONDS,
    REQUESTS_A_TURN,
    Asked,
    Server,
    ServerError,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control"


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    made = Server(path)
    yield made
    made.close()


def client(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(str(path))
    return connection


def has_work(server: Server) -> bool:
    return bool(select.select([server], [], [], 0)[0])


def heard(server: Server, now: float = 0.0) -> list[Asked]:
    """All that is asked until there is nothing more to do."""
    found: list[Asked] = []
    for _ in range(1000):
        if not has_work(server):
            return found
        found += server.work(now)
    raise AssertionError("there is always something to do")


def is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# --- the file -------------------------------------------------------------------------------------


def test_only_this_user_and_root_can_open_it(server: Server, path: Path) -> None:
    status = path.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_whatever_the_umask_is_it_is_the_same_afterwards(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        made = Server(tmp_path / "control")
        assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600
        assert os.umask(0o027) == 0o027
        made.close()
    finally:
        os.umask(before)


def test_closed_it_leaves_no_file(path: Path) -> None:
    Server(path).close()
    assert not path.exists()


def test_the_left_over_of_a_daemon_that_has_ended_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    server = Server(path)
    with client(path) as connection:
        connection.sendall(b"here\n")
        assert [asked.line for asked in heard(server)] == [b"here"]
    server.close()


def test_a_daemon_that_lives_keeps_its_socket(server: Server, path: Path) -> None:
    with pytest.raises(ServerError, match="another daemon listens there"):
        Server(path)
    with client(path) as connection:
        connection.sendall(b"here\n")
        assert [asked.line for asked in heard(server)] == [b"here"]


def test_so_does_one_where_many_wait_to_be_let_in(server: Server, path: Path) -> None:
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(MOST_CLIENTS + 1)]
    for one in waiting:
        one.connect(str(path))
    with pytest.raises(ServerError, match="another daemon listens there"):
        Server(path)
    for one in waiting:
        one.close()


def test_another_file_is_never_taken_away(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ServerError, match="there is another file"):
        Server(path)
    assert path.read_text() == "precious"


def test_nor_are_a_link_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "dangling", "folder"):
        with pytest.raises(ServerError):
            Server(tmp_path / name)
        assert (tmp_path / name).is_symlink() or (tmp_path / name).is_dir()
    assert not (tmp_path / "nowhere").exists()


def test_what_lies_there_by_now_is_not_its_own_and_stays(path: Path) -> None:
    server = Server(path)
    path.unlink()
    path.write_text("another's")
    server.close()
    assert path.read_text() == "another's"


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="too long"):
        Server(tmp_path / ("x" * 200))


def test_no_file_descriptor_is_left_when_there_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ServerError):
        Server(tmp_path / "control")
    assert len(os.listdir("/proc/self/fd")) == before


# --- requests -------------------------------------------------------------------------------------


def test_it_is_told_who_asks(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"hello\n")
        (asked,) = heard(server)
        assert (asked.uid, asked.line) == (os.geteuid(), b"hello")


def test_another_user_is_let_go(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if this process ran as somebody else; test_control.py has a real other user."""
    if os.geteuid() == 0:
        pytest.skip("root may always ask")
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    with client(path) as connection:
        connection.sendall(b"hello\n")
        assert heard(server) == []
        assert is_over(connection)


def test_a_line_in_pieces_is_heard_when_it_is_whole(server: Server, path: Path) -> None:
    with client(path) as connection:
        for piece in (b"he", b"l", b"lo"):
            connection.sendall(piece)
            assert heard(server) == []
        connection.sendall(b"\n")
        assert [asked.line for asked in heard(server)] == [b"hello"]


def test_the_next_line_of_a_client_waits_for_the_answer_to_the_first(
    server: Server, path: Path
) -> None:
    with client(path) as connection:
        connection.sendall(b"first\nsecond\nthird\n")
        for line in (b"first", b"second", b"third"):
            (asked,) = heard(server)
            assert asked.line == line
            assert not has_work(server)
            server.send(asked.client, b"to " + line + b"\n")
        with connection.makefile("rb") as answers:
            said = [next(answers) for _ in range(3)]
        assert said == [b"to first\n", b"to second\n", b"to third\n"]


def test_who_has_nothing_more_to_say_is_answered_all_the_same(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"hello\n")
        connection.shutdown(socket.SHUT_WR)
        (asked,) = heard(server)
        server.send(asked.client, b"answer\n")
        assert heard(server) == []
        assert connection.recv(100) == b"answer\n"
        assert is_over(connection)


def test_at_most_so_much_is_asked_at_a_time(server: Server, path: Path) -> None:
    many = [client(path) for _ in range(10)]
    assert heard(server) == []
    for one in many:
        one.sendall(b"x\n")
    assert len(list(server.work(0.0))) == REQUESTS_A_TURN
    assert len(heard(server)) == 10 - REQUESTS_A_TURN
    for one in many:
        one.close()


@pytest.mark.parametrize("line", [b"x" * MOST_REQUEST_BYTES, b""])
def test_a_line_may_be_so_long(server: Server, path: Path, line: bytes) -> None:
    with client(path) as connection:
        connection.sendall(line + b"\n")
        assert [asked.line for asked in heard(server)] == [line]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_who_sends_a_longer_one_is_let_go(server: Server, path: Path, end: bytes) -> None:
    with client(path) as connection:
        connection.sendall(b"x" * (MOST_REQUEST_BYTES + 1) + end)
        assert heard(server) == []
        assert is_over(connection)


# --- clients that come and go -----------------------------------------------------------------------


def test_who_has_gone_is_forgotten(server: Server, path: Path) -> None:
    for data in (b"", b"half", b"whole\n", b"two\nlines\n"):
        with client(path) as connection:
            connection.sendall(data)
            heard(server)
        heard(server)
        assert server._clients == {} == server._by_descriptor


def test_who_goes_while_his_answer_is_made_gets_none_and_nobody_else_gets_it(
    server: Server, path: Path
) -> None:
    with client(path) as gone:
        gone.sendall(b"slow\n")
        (asked,) = heard(server)
    assert heard(server) == []
    with client(path) as other:  # its file descriptor is the same
        assert heard(server) == []
        server.send(asked.client, b"secret\n")
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1)


def test_who_has_asked_and_gone_at_once_has_asked(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"close everything\n")
    assert [asked.line for asked in heard(server)] == [b"close everything"]
    assert server._clients == {}


def test_an_answer_that_is_not_read_at_once_waits(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"much\nmore\n")
        (asked,) = heard(server)
        server.send(asked.client, b"x" * (MOST_ANSWER_BYTES - 1) + b"\n")
        assert not has_work(server)
        received = 0
        while received < MOST_ANSWER_BYTES:
            received += len(connection.recv(1 << 20))
            assert list(server.work(0.0)) == [] or received == MOST_ANSWER_BYTES
        assert server.is_there(asked.client)


def test_who_does_not_read_is_let_go_when_too_much_waits(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"watch\n")
        (asked,) = heard(server)
        server.keep(asked.client)
        sent = 0
        while server.is_there(asked.client):
            server.send(asked.client, b"x" * 100_000)
            sent += 100_000
            assert sent < 2 * MOST_ANSWER_BYTES


def test_who_goes_before_he_has_read_is_forgotten(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"much\n")
        (asked,) = heard(server)
        server.send(asked.client, b"x" * 1_000_000)
    assert heard(server) == []
    assert not server.is_there(asked.client)


def test_where_there_is_no_room_who_has_been_idle_for_longest_makes_it(
    server: Server, path: Path
) -> None:
    many = []
    for number in range(MOST_CLIENTS):
        many.append(client(path))
        heard(server, float(number))
    many[0].sendall(b"busy\n")
    assert len(heard(server, 50.0)) == 1
    with client(path) as last:
        heard(server, 51.0)
        last.sendall(b"here\n")
        assert [asked.line for asked in heard(server, 52.0)] == [b"here"]
        assert is_over(many[1])
    assert len(server._clients) <= MOST_CLIENTS
    for one in many:
        one.close()


def test_who_watches_makes_no_room_and_may_be_idle(server: Server, path: Path) -> None:
    many = [client(path) for _ in range(MOST_CLIENTS)]
    heard(server)
    for one in many:
        one.sendall(b"watch\n")
    for asked in heard(server):
        server.send(asked.client, b"yes\n")
        server.keep(asked.client)
    assert server.next_deadline() is None
    server.let_go(1e9)
    assert len(server._clients) == MOST_CLIENTS
    with client(path) as last:
        heard(server)
        assert is_over(last)
    for one in many:
        one.close()


def test_who_watches_asks_nothing_more(server: Server, path: Path) -> None:
    with client(path) as connection:
        connection.sendall(b"watch\n")
        (asked,) = heard(server)
        server.send(asked.client, b"yes\n")
        server.keep(asked.client)
        connection.sendall(b"more\n")
        assert heard(server) == []
        assert not server.is_there(asked.client)


def test_who_is_idle_is_let_go(server: Server, path: Path) -> None:
    assert server.next_deadline() is None
    with client(path) as connection:
        heard(server, 100.0)
        connection.sendall(b"half a li")
        heard(server, 105.0)  # does not count
        assert server.next_deadline() == 100.0 + IDLE_SECONDS
        server.let_go(100.0 + IDLE_SECONDS - 0.1)
        assert len(server._clients) == 1
        server.let_go(100.0 + IDLE_SECONDS)
        assert is_over(connection)
    assert server.next_deadline() is None


def test_without_a_free_file_descriptor_who_comes_waits_and_nobody_is_kept_busy(
    server: Server, path: Path
) -> None:
    with client(path) as connection:
        connection.sendall(b"here\n")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = os.dup(0)  # every lower number is another's
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
        try:
            os.close(taken)
            assert list(server.work(7.0)) == []
            assert not has_work(server)
            assert server.next_deadline() == 7.0 + PAUSE_SECONDS
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.let_go(7.0 + PAUSE_SECONDS)
        assert [asked.line for asked in heard(server, 8.0)] == [b"here"]
