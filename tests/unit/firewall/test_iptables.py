"""iptables' words as rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.firewall.iptables import parse, words
from pyknockd.firewall.rule import Extension, Operation, Option, Rule
from tests.support.rules import rule


def option(name: str, *values: str, negated: bool = False) -> Option:
    return Option(name, values, negated)


SSH = Rule(
    "filter",
    Operation.APPEND,
    "INPUT",
    basics=(option("source", "192.0.2.1"), option("protocol", "tcp")),
    matches=(Extension("tcp", (option("dport", "22"),)),),
    target=Extension("ACCEPT"),
)


@pytest.mark.parametrize(
    "command",
    [
        "-A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
        "-A INPUT -s 192.0.2.1 -p tcp -m tcp --dport 22 -j ACCEPT",
        "--append INPUT --source 192.0.2.1 --protocol tcp --dport 22 --jump ACCEPT",
        "--append=INPUT --src 192.0.2.1 --protocol tcp --dport=22 --jump=ACCEPT",
        "-AINPUT -s 192.0.2.1 -p tcp --dport 22 -jACCEPT",
        "-w 5 -t filter -A INPUT -s 192.0.2.1 -p TCP --dport 22 -j ACCEPT",
        "--wait -A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
        "-j ACCEPT -s 192.0.2.1 -p tcp --dport 22 -A INPUT",
        "-A 'INPUT' -s \"192.0.2.1\" -p tcp --dport '22' -j ACCEPT -n",
    ],
)
def test_the_same_rule_has_many_spellings(command: str) -> None:
    assert rule(command) == SSH


@pytest.mark.parametrize(
    ("command", "operation", "position"),
    [
        ("-I INPUT", Operation.INSERT, 0),
        ("-I INPUT 3", Operation.INSERT, 3),
        ("-D INPUT", Operation.DELETE, 0),
        ("--delete INPUT", Operation.DELETE, 0),
    ],
)
def test_a_command_says_what_is_to_be_done(
    command: str, operation: Operation, position: int
) -> None:
    found = rule(f"{command} -j DROP")
    assert found is not None
    assert (found.operation, found.position) == (operation, position)


def test_a_match_is_loaded_where_its_first_option_stands() -> None:
    found = rule("-A INPUT -p tcp -m state --state NEW --dport 22 -j ACCEPT")
    assert found is not None
    assert [match.name for match in found.matches] == ["state", "tcp"]


def test_negation_belongs_to_the_option_behind_it() -> None:
    found = rule("-A INPUT ! -s 192.0.2.1 -p udp ! --dport 53 -j DROP")
    assert found is not None
    assert found.basics[0] == option("source", "192.0.2.1", negated=True)
    assert found.matches == (Extension("udp", (option("dport", "53", negated=True),)),)


@pytest.mark.parametrize(
    "command",
    [
        "-P INPUT DROP",
        "-F",
        "-D INPUT 1 -j DROP",
        "-R INPUT 1 -j DROP",
        "-I INPUT 0 -j DROP",
        "-A INPUT -I INPUT -j DROP",
        "-j DROP",
        "-A INPUT --dport 22 -j ACCEPT",
        "-A INPUT ! -p tcp --dport 22 -j ACCEPT",
        "-A INPUT -p tcp --dpor 22 -j ACCEPT",
        "-A INPUT -p tcp --dport 22 --dport 23 -j ACCEPT",
        "-A INPUT -s 192.0.2.1 -s 192.0.2.2 -j ACCEPT",
        "-A INPUT -s ! 192.0.2.1 -j ACCEPT",
        "-A INPUT -m owner --uid-owner 0 -j ACCEPT",
        "-A INPUT -p tcp stray -j ACCEPT",
        "-A INPUT -j ACCEPT -j DROP",
        "-A INPUT -v -j ACCEPT",
        "-A",
        "-A INPUT -",
        "-A INPUT -- -j ACCEPT",
        "-A INPUT !",
        "-A INPUT -j",
        "-A INPUT ! -j ACCEPT",
        "-A INPUT --src= -j ACCEPT",
        # iptables takes the whole word for the value: unknown protocol "-ptcp".
        "-A INPUT -ptcp --dport 22 -j ACCEPT",
        "-A INPUT --src=192.0.2.1 -j ACCEPT",
        "-A INPUT -o eth0 -j ACCEPT",
        "-A OUTPUT -i eth0 -j ACCEPT",
    ],
)
def test_what_is_not_understood_completely_is_left_to_iptables(command: str) -> None:
    assert rule(command) is None


WORDS = [
    "-A",
    "-I",
    "INPUT",
    "1",
    "-p",
    "tcp",
    "!",
    "--dport",
    "22",
    "-j",
    "ACCEPT",
    "-m",
    "state",
    "-",
]


@given(st.lists(st.sampled_from(WORDS)))
def test_any_words_give_a_rule_or_none(arguments: list[str]) -> None:
    found = parse(arguments)
    assert found is None or found.chain


@pytest.mark.parametrize(
    "command",
    [
        "-A INPUT -s 192.0.2.1 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-I INPUT 3 ! -s 192.0.2.1 -i eth+ -j DROP",
        "-D INPUT 3",
        "-t nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:22",
        "-A INPUT -m state --state NEW -p udp -m udp ! --dport 5:7 -g guarded",
        "-A INPUT -p tcp -m tcp ! --tcp-flags SYN,ACK SYN -m set --match-set bad src -j LOG --log-uid",
        "-A INPUT -m comment --comment 'two words' -m recent --name x --rcheck --seconds 5 -j DROP",
        "-A INPUT -p icmp -m icmp --icmp-type 8 -j REJECT --reject-with icmp-host-prohibited",
    ],
)
def test_a_rules_words_are_read_as_the_same_rule(command: str) -> None:
    found = rule(command)
    assert found is not None
    assert parse(words(found)) == found


@given(st.lists(st.sampled_from(WORDS)))
def test_what_any_words_mean_is_said_in_words_that_mean_it(arguments: list[str]) -> None:
    found = parse(arguments)
    if found is not None and (found.target or found.operation is not Operation.DELETE):
        assert parse(words(found)) == found
