"""The program behind a name, and what it is asked."""

from __future__ import annotations

import pytest

from pyknockd.firewall.program import check_words


@pytest.mark.parametrize(
    ("command", "looking"),
    [
        ("iptables -A INPUT -s 192.0.2.1 -j ACCEPT", "iptables -C INPUT -s 192.0.2.1 -j ACCEPT"),
        ("iptables -I INPUT 3 -j X --unknown", "iptables -C INPUT -j X --unknown"),
        ("ip6tables -w -t nat --insert A -j DROP", "ip6tables -w -t nat -C A -j DROP"),
        ("iptables -j DROP --append INPUT", "iptables -j DROP -C INPUT"),
        ("iptables -D INPUT -s 192.0.2.1 -j ACCEPT", None),
        ("iptables -A INPUT -m comment --comment -D -j ACCEPT", None),
        ("iptables -F", None),
        ("iptables -A", None),
        ("iptables -AINPUT -j DROP", None),
    ],
)
def test_what_adds_a_rule_has_a_command_that_looks_for_it(
    command: str, looking: str | None
) -> None:
    assert check_words(command.split()) == tuple(looking.split() if looking else ())
