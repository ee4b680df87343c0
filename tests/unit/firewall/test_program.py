"""The program behind a name, and what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.firewall.program import Kind, check_words, find


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


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("iptables v1.8.7 (nf_tables)", False),
        ("iptables v1.8.9 (nf_tables)", True),
        ("iptables v1.8.10 (nf_tables)", True),
        ("iptables v1.8.11 (nf_tables)", True),
        ("iptables v1.8.13 (nf_tables)", True),
        ("iptables v1.8.14 (nf_tables)", False),
        ("iptables v1.9.0 (nf_tables)", False),
        ("iptables v2.0", False),
    ],
)
def test_only_releases_whose_forms_were_seen_are_done_without(
    tmp_path: Path, said: str, known: bool
) -> None:
    real = tmp_path / "xtables-nft-multi"
    real.write_text(f"#!/bin/sh\necho '{said}'\n")
    real.chmod(0o755)
    (tmp_path / "iptables").symlink_to(real)
    found = find(str(tmp_path / "iptables"))
    assert found.kind is Kind.NF_TABLES
    assert found.why_not == ("" if known else f"not known to be alike: {said}")
