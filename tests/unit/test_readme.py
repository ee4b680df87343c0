"""The README's commands, as text."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.support.readme import README, blocks, commands

# For root, so that whoever is not puts sudo in front.
FOR_ROOT = [
    command
    for section in ("See it work", "Install", "In knockd's place", "First steps", "Test it")
    for command in commands(section)
]


def test_a_newcomer_finds_the_sections_in_the_order_in_which_he_needs_them() -> None:
    headings = re.findall(r"^## (.*)", README.read_text(), re.MULTILINE)
    assert headings == [
        *("See it work", "Install", "In knockd's place", "Knock", "First steps", "Settings"),
        *(
            "Who is in",
            "Where the rest stands",
            "What differs from knockd 0.8",
            "Test it",
            "Licence",
        ),
    ]


def test_no_command_names_sudo() -> None:
    assert [command for command in commands() if "sudo" in command] == []


@pytest.mark.parametrize("command", FOR_ROOT)
def test_a_sudo_in_front_holds_for_the_whole_command(command: str) -> None:
    words = list(shlex.shlex(command.replace("\\\n", ""), posix=True, punctuation_chars=True))
    assert not [word for word in words if set(word) <= set("();<>|&")]


@pytest.mark.parametrize("command", [one for one in commands() if "apt-get install" in one])
def test_nothing_that_is_only_recommended_is_installed(command: str) -> None:
    assert "apt-get install -y --no-install-recommends " in command


def test_debians_packages_are_used_by_debians_python() -> None:
    named = [word for command in commands() for word in re.findall(r"\S*python3\b(?!-)", command)]
    assert set(named) == {"/usr/bin/python3"}


def test_no_block_is_left_out_by_its_language() -> None:
    assert {block.language for block in blocks()} == {"sh", "ini", "yaml", "ssh-config", "console"}
