"""Commands that are for the other address family."""

from __future__ import annotations

import pytest

from pyknockd.doors.families import is_reached, missing_directives
from pyknockd.model import Command, Door

FOUR, SIX = "/sbin/iptables -I INPUT -s %IP% -j ACCEPT", "ip6tables-nft -I INPUT -s %IP% -j ACCEPT"
END, END_6 = "/sbin/iptables -D INPUT -s %IP%", "/sbin/ip6tables -D INPUT -s %IP%"


def test_a_door_for_ipv4_lacks_what_it_takes_for_ipv6() -> None:
    door = Door("ssh", opening=Command(FOUR), closing=Command(END))
    assert missing_directives(door, over_ipv6=False) == ()
    assert missing_directives(door, over_ipv6=True) == (
        "Start_Command_6 = /sbin/ip6tables -I INPUT -s %IP% -j ACCEPT",
        "Stop_Command_6 = /sbin/ip6tables -D INPUT -s %IP%",
    )


def test_a_door_that_could_open_and_not_close_lacks_it_too() -> None:
    door = Door("ssh", opening=Command(FOUR, SIX), closing=Command(END))
    assert missing_directives(door, over_ipv6=True) == (f"Stop_Command_6 = {END_6}",)


def test_a_door_for_ipv6_lacks_what_it_takes_for_ipv4() -> None:
    door = Door("ssh", opening=Command(SIX), closing=Command(END, END_6))
    assert missing_directives(door, over_ipv6=True) == ()
    assert missing_directives(door, over_ipv6=False) == (
        "Start_Command = iptables-nft -I INPUT -s %IP% -j ACCEPT",
        f"Start_Command_6 = {SIX}",
    )


@pytest.mark.parametrize(
    "opening",
    [
        *(Command(FOUR, SIX), Command(FOUR, ""), Command(), Command("", FOUR), Command("ufw %IP%")),
        *(Command("iptables -P INPUT ACCEPT"), Command("iptables -A x -s %IP%; true")),
    ],
)
def test_what_may_do_as_it_says_lacks_nothing(opening: Command) -> None:
    assert missing_directives(Door("ssh", opening=opening), over_ipv6=opening.v6 != FOUR) == ()


@pytest.mark.parametrize(
    ("target", "four", "six"), [(None, True, True), ("10.0.0.1", True, False), ("::1", False, True)]
)
def test_a_target_is_reached_over_its_own_family(target: str | None, four: bool, six: bool) -> None:
    door = Door("ssh", target=target)
    assert is_reached(door, over_ipv6=False) is four
    assert is_reached(door, over_ipv6=True) is six
