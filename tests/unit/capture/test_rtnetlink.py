"""What the kernel says of this host's own interfaces; their coming and going is tested in kernel/."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyknockd.capture import rtnetlink


def test_every_interface_is_found_with_its_index() -> None:
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    names = [line.partition(":")[0].strip() for line in lines]
    assert rtnetlink.interfaces() == {name: socket.if_nametoindex(name) for name in names}


def test_addresses_stand_by_the_index_of_their_interface() -> None:
    loopback = rtnetlink.addresses().get(socket.if_nametoindex("lo"), frozenset())
    if not loopback:
        pytest.skip("the loopback is down")
    assert socket.inet_aton("127.0.0.1") in loopback
    assert {len(address) for address in loopback} <= {4, 16}
