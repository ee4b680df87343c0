"""The nouns."""

from __future__ import annotations

from pyknockd.model import expand


def test_the_address_is_filled_in_everywhere() -> None:
    assert (
        expand("allow %IP% from %IP%/32 100%", "192.0.2.1")
        == "allow 192.0.2.1 from 192.0.2.1/32 100%"
    )
