"""Names of addresses, from a resolver that the tests write: a program called getent."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pyknockd.report.hostnames import AGAIN_SECONDS, PATIENCE, Names
from tests.support.lab import until

ADDRESS = "192.0.2.7"


@pytest.fixture
def resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives getent the text of a shell script."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(script: str) -> None:
        path = tmp_path / "getent"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return install


def found(names: Names, address: str = ADDRESS) -> str:
    """The label, once it is known; no time passes for ``names``."""
    label = until(lambda: names.label(address, 0.0), "the name is looked up")
    assert label is not None
    return label


def children(pid: int) -> set[str]:
    """The processes that ``pid`` has started and not reaped."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_a_name_stands_behind_its_address(resolver: Callable[[str], None]) -> None:
    resolver('[ "$1" = hosts ] && echo "$2  visitor.example alias"')
    names = Names()
    assert names.label(ADDRESS, 0.0) is None
    assert found(names) == f"{ADDRESS} (visitor.example)"


@pytest.mark.parametrize(
    "script",
    [
        "exit 2",
        "true",
        "echo 192.0.2.7",
        'echo "192.0.2.7 visitor.example"; exit 1',
        "echo '192.0.2.7 no/name'",
        "printf '192.0.2.7 a\\033[31m'",
        "printf '192.0.2.7 n\\303\\244me'",
    ],
)
def test_without_a_name_that_may_be_shown_the_address_stands_alone(
    resolver: Callable[[str], None], script: str
) -> None:
    resolver(script)
    assert found(Names()) == ADDRESS


def test_a_name_is_looked_up_once(resolver: Callable[[str], None], tmp_path: Path) -> None:
    resolver(f"echo asked >> {tmp_path}/trace; echo $2 visitor.example")
    names = Names()
    found(names)
    assert names.label(ADDRESS, 0.0) == names.label(ADDRESS, 99.0) == found(names)
    assert (tmp_path / "trace").read_text() == "asked\n"


def test_a_resolver_that_does_not_answer_is_given_up(
    resolver: Callable[[str], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "never")
    resolver(f"exec cat {tmp_path}/never")
    names = Names()
    assert names.label(ADDRESS, 10.0) is None
    assert names.label(ADDRESS, 10.0 + PATIENCE - 0.001) is None
    assert names.label(ADDRESS, 10.0 + PATIENCE) == ADDRESS


def test_only_so_many_are_looked_up_at_once(
    resolver: Callable[[str], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "never")
    resolver(f"exec cat {tmp_path}/never")
    names = Names()
    addresses = [f"192.0.2.{number}" for number in range(20)]
    labels = [names.label(address, 0.0) for address in addresses]
    assert labels[:16] == [None] * 16
    assert labels[16:] == addresses[16:]
    for address in addresses[:16]:
        assert names.label(address, PATIENCE) == address


def test_searches_that_nobody_asks_for_again_free_their_places(
    resolver: Callable[[str], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "never")
    resolver(f"cat {tmp_path}/never")  # a child holds the pipe as well
    names, before = Names(), children(os.getpid())
    for number in range(16):
        names.label(f"192.0.2.{number}", 0.0)
    assert names.next_deadline() == PATIENCE
    names.work(PATIENCE)
    assert names.next_deadline() is None
    resolver("echo $2 visitor.example")
    until(lambda: names.label("198.51.100.1", PATIENCE) is None, "the killed are gone")
    assert found(names, "198.51.100.1") == "198.51.100.1 (visitor.example)"

    def all_are_reaped() -> bool:
        names.work(PATIENCE)
        return children(os.getpid()) <= before

    until(all_are_reaped, "no process is left")


def test_what_was_given_up_is_looked_up_again_a_while_later(
    resolver: Callable[[str], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "never")
    resolver(f"exec cat {tmp_path}/never")
    names = Names()
    names.label(ADDRESS, 0.0)
    assert names.label(ADDRESS, PATIENCE) == ADDRESS
    resolver("echo $2 visitor.example")
    again = PATIENCE + AGAIN_SECONDS
    assert names.label(ADDRESS, again - 0.001) == ADDRESS
    until(lambda: names.label(ADDRESS, again), "it is looked up again")
    assert names.label(ADDRESS, again) == f"{ADDRESS} (visitor.example)"


def test_an_answer_is_taken_though_its_pipe_is_never_closed(
    resolver: Callable[[str], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "never")
    resolver(f"cat {tmp_path}/never & echo $! > {tmp_path}/pid; echo $2 visitor.example")
    names = Names()
    names.label(ADDRESS, 0.0)
    assert found(names) == f"{ADDRESS} (visitor.example)"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_without_a_resolver_the_address_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Names().label(ADDRESS, 0.0) == ADDRESS
