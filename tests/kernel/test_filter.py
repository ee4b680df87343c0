"""The packet filter within a kernel's limits."""

from __future__ import annotations

import pytest

from pyknockd.capture.filter import Filter
from pyknockd.model import Flags, Link, Listen, Protocol
from pyknockd.system.process import CommandError
from tests.support.frames import packed
from tests.support.lab import Lab
from tests.support.socketfilter import Kernel


def test_two_of_the_largest_filters_fit_into_what_a_socket_may_hold(hosts: Lab) -> None:
    """Both are there while one replaces the other; 10 KiB is the limit of a 32-bit kernel's."""
    try:
        hosts.server.run("sh", "-c", "echo 10240 > /proc/sys/net/core/optmem_max")
    except CommandError:
        pytest.skip("before Linux 6.8 this limit is the whole machine's")
    flags = [Flags.SYN, Flags.FIN, Flags.ACK, Flags.RST]
    listens = [
        Listen(Protocol.UDP if i % 9 else Protocol.TCP, n * 13 + i, n * 13 + i, required=flag)
        for n in range(2000)
        for flag in flags
        for i in (0, 1)
    ]
    own = packed(
        *(f"192.0.2.{n}" for n in range(32)), *(f"2001:db8::{n:x}:f000:0" for n in range(32))
    )
    with hosts.server.inside():
        kernel = Kernel(Filter(listens).program(own, Link.ETHERNET))
        kernel.attach(Filter(listens).program(own, Link.ETHERNET))
        kernel.close()
