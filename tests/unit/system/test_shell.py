"""Commands as words."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pyknockd.system.shell import split


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("iptables -A INPUT", ["iptables", "-A", "INPUT"]),
        ("  a \t b ", ["a", "b"]),
        ("a 'b c' \"d e\"f", ["a", "b c", "d ef"]),
        ("a '' b", ["a", "", "b"]),
        ("a ! -s 192.0.2.1", ["a", "!", "-s", "192.0.2.1"]),
        ("a 'x; y | z > $HOME'", ["a", "x; y | z > $HOME"]),
        ('a "b; c"', ["a", "b; c"]),
        ("", []),
        ("a; b", None),
        ("a && b", None),
        ("a > b", None),
        ("a $(b)", None),
        ('a "$HOME"', None),
        ('a "`b`"', None),
        ("a *", None),
        ("a ~", None),
        ("a # b", None),
        ("a \\; b", None),
        ("a 'b", None),
    ],
)
def test_only_plain_words_are_words(command: str, expected: list[str] | None) -> None:
    assert split(command) == expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.sampled_from([*"ab1 -!=%,:./'\"\t;|&$`\\*?[]#~{}()<>^@+"]), max_size=16).map(
        "".join
    )
)
def test_where_there_are_words_the_shell_finds_the_same(command: str) -> None:
    found = split(command)
    assume(found is not None)
    script = f"for word in {command}\ndo printf '%s\\0' \"$word\"\ndone"
    shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.split("\0")[:-1] == found
