"""hosts.yaml, and what is wrong with it."""

from __future__ import annotations

import pytest

from pyknockd.client.hosts import parse

HOME = "hosts:\n  home:\n    address: h\n    sequence: 7000,8000:udp\n"


def test_a_host_has_what_the_file_says() -> None:
    hosts, remarks = parse(HOME + "    wait: 22,5\n    close: [1, 2]\ngroups:\n  all: home\n")
    assert not remarks
    home = hosts.hosts[0]
    assert (home.errand.host, home.errand.ports) == ("h", ("7000,8000:udp",))
    assert home.closing == ("1", "2")
    assert hosts.groups[0].members == ("home",)


@pytest.mark.parametrize(
    ("more", "line", "text"),
    [
        ("    proof: spa\n", 5, "found 'spa'; expected sequence or one_time"),
        ("    proof: one_time\n", 3, "home has no one_time"),
        ("    close: 1,x/y\n", 5, "write x:tcp or x:udp"),
        ("    wiat: 22\n", 5, "did you mean wait"),
        ("groups:\n  all: [work]\n", 6, "no host work"),
    ],
)
def test_a_mistake_has_its_line(more: str, line: int, text: str) -> None:
    _, remarks = parse(HOME + more)
    assert [one.line for one in remarks] == [line]
    assert text in remarks[0].text
