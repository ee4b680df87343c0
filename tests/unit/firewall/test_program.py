"""The program behind a name, and what it is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyknockd.firewall.extensions import MATCHES, TARGETS
from pyknockd.firewall.program import (
    Kind,
    Program,
    adds,
    check_words,
    delete_words,
    deletes,
    find,
)
from pyknockd.firewall.rule import Family


@pytest.mark.parametrize(
    ("command", "looking"),
    [
        ("iptables -A INPUT -s 192.0.2.1 -j ACCEPT", "iptables -C INPUT -s 192.0.2.1 -j ACCEPT"),
        ("iptables -I INPUT 3 -j X --unknown", "iptables -C INPUT -j X --unknown"),
        ("ip6tables -w -t nat --insert A -j DROP", "ip6tables -w -t nat -C A -j DROP"),
        ("iptables -j DROP --append INPUT", "iptables -j DROP -C INPUT"),
        ("iptables -D INPUT -s 192.0.2.1 -j ACCEPT", "iptables -C INPUT -s 192.0.2.1 -j ACCEPT"),
        ("iptables --delete INPUT -j X --unknown", "iptables -C INPUT -j X --unknown"),
        (
            "iptables -A INPUT -m comment --comment -D -j ACCEPT",
            "iptables -C INPUT -m comment --comment -D -j ACCEPT",
        ),
        (
            "iptables -m comment --comment -A -D INPUT -j ACCEPT",
            "iptables -m comment --comment -A -C INPUT -j ACCEPT",
        ),
        ("iptables -I INPUT --unknown -D -j ACCEPT", None),
        ("iptables -D INPUT 3", None),
        ("iptables -A INPUT 3", None),
        ("iptables -F", None),
        ("iptables -A", None),
        ("iptables -AINPUT -j DROP", None),
    ],
)
def test_what_adds_or_deletes_a_rule_has_a_command_that_looks_for_it(
    command: str, looking: str | None
) -> None:
    assert check_words(command.split()) == tuple(looking.split() if looking else ())
    deleting = looking.replace(" -C ", " -D ") if looking else ""
    assert delete_words(command.split()) == tuple(deleting.split())


def test_what_adds_a_rule_has_a_command_that_deletes_it() -> None:
    words = ["iptables", "-I", "INPUT", "3", "-m", "comment", "--comment", "-I", "-j", "ACCEPT"]
    assert adds(words)
    assert not deletes(words)
    deleting = ["iptables", "-D", "INPUT", "-m", "comment", "--comment", "-I", "-j", "ACCEPT"]
    assert delete_words(words) == tuple(deleting)
    assert deletes(deleting)
    assert not adds(deleting)


def test_an_option_takes_as_many_values_whoever_has_it() -> None:
    counts: dict[str, int] = {}
    for options in (*MATCHES.values(), *TARGETS.values()):
        for option, count in options.items():
            assert counts.setdefault(option, count) == count


UNLIKE = "its release is not known to be alike"


def installed(folder: Path, behind: str, version: str) -> str:
    """An iptables that leads to a program called ``behind``, as Debian's alternatives do."""
    program, name = folder / behind, folder / "iptables"
    program.write_text(f"#!/bin/sh\necho 'iptables {version}'\n")
    program.chmod(0o755)
    name.symlink_to(behind)
    return str(name)


@pytest.mark.parametrize(
    ("behind", "version", "kind", "why_not"),
    [
        ("xtables-legacy-multi", "v1.8.2 (legacy)", Kind.LEGACY, ""),
        ("xtables-nft-multi", "v1.8.9 (nf_tables)", Kind.NF_TABLES, ""),
        ("xtables-nft-multi", "v1.8.10 (nf_tables)", Kind.NF_TABLES, ""),
        ("xtables-nft-multi", "v1.8.7 (nf_tables)", Kind.NF_TABLES, UNLIKE),
        ("xtables-nft-multi", "v2.0", Kind.NF_TABLES, UNLIKE),
    ],
)
def test_what_lies_behind_a_name_is_found(
    tmp_path: Path, behind: str, version: str, kind: Kind, why_not: str
) -> None:
    assert find(installed(tmp_path, behind, version)) == Program(kind, Family.IPV4, why_not)


def test_a_wrapper_of_somebodys_own_is_only_run(tmp_path: Path) -> None:
    name = installed(tmp_path, "wrapper", "v1.8.9 (nf_tables)")
    found = find(name)
    assert (found.kind, found.why_not) == (Kind.UNKNOWN, f"it leads to {tmp_path}/wrapper")


def test_a_program_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    assert find(f"{tmp_path}/ip6tables") == Program(Kind.UNKNOWN, Family.IPV6, "no such program")


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
    assert found.why_not == ("" if known else UNLIKE)


def test_a_program_is_not_run_to_be_known(tmp_path: Path) -> None:
    """One that hangs would keep the loop waiting at every reload."""
    name = installed(tmp_path, "xtables-nft-multi", "v1.8.9 (nf_tables)")
    behind = tmp_path / "xtables-nft-multi"
    behind.write_text(f"{behind.read_text()}touch {tmp_path}/run\n")
    assert find(name).why_not == ""
    assert not (tmp_path / "run").exists()


def test_a_program_that_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "xtables-nft-multi", 0o755)
    (tmp_path / "iptables").symlink_to("xtables-nft-multi")
    assert find(f"{tmp_path}/iptables").why_not == UNLIKE
