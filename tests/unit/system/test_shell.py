"""Commands as words."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
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


CHARACTERS = [*"ab1 -!=%,:./'\"\t;|&$`\\*?[]#~{}()<>^@+"]
COMMANDS = st.lists(st.sampled_from(CHARACTERS), max_size=16).map("".join)


@settings(max_examples=20, deadline=None)
@given(st.lists(COMMANDS, max_size=40))
def test_where_there_are_words_the_shell_finds_the_same(commands: list[str]) -> None:
    plain = [command for command in commands if split(command) is not None]
    script = "".join(
        f"for word in {command}\ndo printf '%s\\0' \"$word\"\ndone\nprintf '\\n\\0'\n"
        for command in plain
    )
    shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    found = [words.split("\0")[:-1] for words in shell.stdout.split("\n\0")[:-1]]
    assert found == [split(command) for command in plain]
