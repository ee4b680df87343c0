"""Policies: whose knocks are heard, and the networks around sources."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pyknockd.model import Policy


@pytest.mark.parametrize(
    ("policy", "source", "admitted"),
    [
        (Policy(), "192.0.2.1", True),
        (Policy(allow=(ip_network("192.0.2.0/24"),)), "192.0.2.1", True),
        (Policy(allow=(ip_network("192.0.2.0/24"),)), "198.51.100.1", False),
        (Policy(allow=(ip_network("192.0.2.0/24"),)), "2001:db8::1", False),
        (Policy(allow=(ip_network("2001:db8::/32"),)), "2001:db8:7::1", True),
        (Policy(deny=(ip_network("192.0.2.66"),)), "192.0.2.66", False),
        (Policy(deny=(ip_network("192.0.2.66"),)), "192.0.2.67", True),
        (Policy(deny=(ip_network("192.0.2.66"),)), "2001:db8::1", True),
        (
            Policy(allow=(ip_network("192.0.2.0/24"),), deny=(ip_network("192.0.2.64/26"),)),
            "192.0.2.66",
            False,
        ),
    ],
)
def test_who_is_denied_stays_out_and_who_is_allowed_is_heard(
    policy: Policy, source: str, admitted: bool
) -> None:
    assert policy.admits(source) is admitted


@pytest.mark.parametrize(
    ("policy", "source", "network"),
    [
        (Policy(), "192.0.2.7", "192.0.2.7/32"),
        (Policy(), "2001:db8::7", "2001:db8::7/128"),
        (Policy(v4=24, v6=64), "192.0.2.7", "192.0.2.0/24"),
        (Policy(v4=24, v6=64), "2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
    ],
)
def test_the_network_around_a_source(policy: Policy, source: str, network: str) -> None:
    assert policy.network(source) == network
