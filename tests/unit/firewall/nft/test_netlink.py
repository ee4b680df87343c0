"""What is asked of the kernel, and for how long; its answers are read in tests/kernel."""

from __future__ import annotations

import socket

import pytest

from pyknockd.firewall.nft.netlink import NetlinkError, Reader


def test_a_kernel_that_does_not_answer_is_given_up() -> None:
    reader = Reader()
    silent, other = socket.socketpair()
    with silent, other:
        patience = reader._socket.gettimeout()
        assert patience is not None
        assert 0 < patience <= 5
        reader.close()
        reader._socket = silent
        silent.settimeout(0.01)
        with pytest.raises(NetlinkError, match="netlink: timed out"):
            reader.generation()
        assert reader.changes() == []
        assert silent.gettimeout() == patience
