"""A rule's parts."""

from __future__ import annotations

import pytest

from pyknockd.firewall.rule import Family, network


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("192.0.2.77/255.255.240.0", "192.0.0.0/20"),
        ("192.0.2.1/0", "0.0.0.0/0"),
        ("192.0.2.1/0.0.0.255", None),  # which is no /24 to iptables
        ("192.0.2.1/255.0.255.0", None),
        ("192.0.2", None),
        ("192.0.2.1/33", None),
        ("192.0.2.1/", None),
        ("localhost", None),
        ("2001:db8::1", None),
    ],
)
def test_an_address_is_read_as_iptables_reads_it(text: str, read: str | None) -> None:
    found = network(text, Family.IPV4)
    assert (found and str(found)) == read
