"""A rule's parts."""

from __future__ import annotations

from ipaddress import ip_network

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


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:DB8::77/35", "2001:db8::/35"),
        ("::ffff:192.0.2.1", "::ffff:c000:201/128"),
        ("2001:db8::1/129", None),
        ("2001:db8::1/", None),
        ("2001:db8::1%eth0", None),
        ("192.0.2.1", None),
    ],
)
def test_so_is_one_of_ipv6(text: str, read: str | None) -> None:
    found = network(text, Family.IPV6)
    assert (found and found.compressed) == (read and ip_network(read).compressed)
