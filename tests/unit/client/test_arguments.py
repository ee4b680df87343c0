"""What the client's own options say."""

from __future__ import annotations

import pytest

from pyknockd.client.arguments import read_options, read_target, read_wait, split
from pyknockd.client.errands import ClientError, Family, Wait


def test_a_port_to_wait_for_may_have_its_seconds() -> None:
    assert (read_wait("22"), read_wait("22,10")) == (Wait("22"), Wait("22", 10.0))


@pytest.mark.parametrize("text", ["", ",3", "22,x", "22,0", "22,nan", "h:22"])
def test_what_is_no_port_to_wait_for_is_refused(text: str) -> None:
    with pytest.raises(ClientError):
        read_wait(text)


def test_a_target_may_be_an_ipv6_address() -> None:
    assert read_target("[fd00::1]:22") == Wait("22", host="[fd00::1]")


def test_the_seconds_of_wait_hold_for_the_carried_connection_too() -> None:
    options = read_options(*split(["-W", "h:22", "--wait", "22,9", "--both", "home"]))
    assert (options.wait, options.family) == (Wait("22", 9.0, "h"), Family.BOTH)


def test_fdpass_without_a_connection_is_a_mistake() -> None:
    with pytest.raises(ClientError):
        read_options(*split(["--fdpass", "h", "9"]))
