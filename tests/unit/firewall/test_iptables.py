"""iptables' words as rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.firewall.conditions import Meaning, meaning_of, rule_of
from pyknockd.firewall.iptables import parse, words
from pyknockd.firewall.program import check_words
from pyknockd.firewall.rule import Extension, Family, Operation, Option, Rule, network
from pyknockd.firewall.shadowing import View, hidden_by, warning
from pyknockd.system.shell import split


def rule(command: str) -> Rule | None:
    found = split(command)
    assert found is not None
    return parse(found)


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


def meaning(command: str, family: Family = Family.IPV4) -> Meaning:
    found = rule(f"-A INPUT {command}")
    assert found is not None
    return meaning_of(found, family)


HIDING = [
    ("-j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -j REJECT", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-j REJECT --reject-with icmp-host-prohibited", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 20:30 -j DROP", "-p tcp --dport 22:25 -s 192.0.2.1 -j ACCEPT"),
    ("-s 192.0.2.0/24 -j DROP", "-s 192.0.2.1 -m conntrack --ctstate NEW -j ACCEPT"),
    ("-p tcp -m comment --comment 'all of it' -j DROP", "-s 192.0.2.1 -p tcp -j ACCEPT"),
    ("! -s 10.0.0.0/8 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("! -p udp -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-i eth+ -j DROP", "-i eth0 -s 192.0.2.1 -j ACCEPT"),
    ("-p tcp ! --dport 80 -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --syn -j DROP", "-s 192.0.2.1 -p tcp --syn --dport 22 -j ACCEPT"),
    ("-g guarded", "-s 192.0.2.1 -j ACCEPT"),
    ("-j RETURN", "-s 192.0.2.1 -j ACCEPT"),
]
NOT_HIDING = [
    ("-j guarded", "-s 192.0.2.1 -j ACCEPT"),
    ("-j LOG", "-s 192.0.2.1 -j ACCEPT"),
    ("-s 192.0.2.1", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 22 -m conntrack --ctstate INVALID -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-m limit --limit 3/minute -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -p udp --dport 22 -j ACCEPT"),
    ("-p tcp --sport 22 -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -p tcp --dport 22:23 -j ACCEPT"),
    ("-p tcp --syn -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-s 192.0.2.1 -j DROP", "-s 192.0.2.0/24 -j ACCEPT"),
    ("! -s 192.0.2.0/24 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("! -s 192.0.2.1 -j DROP", "-s 192.0.2.0/24 -j ACCEPT"),
    ("-s 192.0.2.0/24 -j DROP", "! -s 192.0.2.1 -j ACCEPT"),
    ("-i eth0 -j DROP", "-i eth+ -s 192.0.2.1 -j ACCEPT"),
    ("-i eth0 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp -m tcp --tcp-option 3 -j DROP", "-p tcp -s 192.0.2.1 -j ACCEPT"),
    ("! -p tcp -j DROP", "-p tcp -s 192.0.2.1 -j ACCEPT"),
    ("-s 192.0.2.1 -m multiport --dports 22 -p tcp -j DROP", "-s 192.0.2.1 -p tcp --dport 22"),
]


@pytest.mark.parametrize(("earlier", "new"), HIDING)
def test_a_rule_that_decides_the_same_packets_hides_a_later_one(earlier: str, new: str) -> None:
    others = [meaning("-i lo -j ACCEPT"), meaning(earlier), meaning("-j DROP")]
    assert hidden_by(meaning(new), others) == 1


@pytest.mark.parametrize(("earlier", "new"), NOT_HIDING)
def test_what_is_not_certain_hides_nothing(earlier: str, new: str) -> None:
    assert hidden_by(meaning(new), [meaning(earlier)]) is None


def test_the_warning_names_both_rules() -> None:
    new = rule("-A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT")
    assert new is not None
    chain = View([meaning("-p tcp --dport 22 -j DROP"), meaning_of(new, Family.IPV4)], True)
    assert warning(new, Family.IPV4, chain) == (
        "the rule -A INPUT -s 192.0.2.1 -p tcp -m tcp --dport 22 -j ACCEPT opens nothing:"
        " it stands behind -A INPUT -p tcp -m tcp --dport 22 -j DROP"
    )
    assert warning(new, Family.IPV4, View([], reachable=False)).endswith(
        "opens nothing: no rule leads to the chain INPUT"
    )
    first = rule("-I INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT")
    assert first is not None
    assert warning(first, Family.IPV4, chain) == ""


PACKETS = [
    (address, port, interface)
    for address in (0, 1, 2, 3)
    for port in (0, 1, 2, 3)
    for interface in ("e", "e0", "e1", "f")
]
SOURCES = ["0.0.0.0/30", "0.0.0.0/31", "0.0.0.2/31", "0.0.0.1", "0.0.0.2"]
PORTS = ["0", "1", "1:2", "0:2", "2:3"]


@st.composite
def small_rules(draw: st.DrawFn) -> str:
    """Rules for tcp packets of PACKETS."""
    parts = ["-p tcp"]
    for name, values in (("-s", SOURCES), ("--dport", PORTS), ("-i", ["e", "e+", "e0", "f"])):
        value = draw(st.sampled_from(["", *values]))
        if value:
            parts.append(f"{draw(st.sampled_from(['', '! ']))}{name} {value}")
    return " ".join([*parts, "-j DROP"])


def holds(command: str, address: int, port: int, interface: str) -> bool:
    """An oracle: whether the rule is true of a packet, from its words alone."""
    found = rule(f"-A INPUT {command}")
    assert found is not None
    options = [*found.basics, *(option for match in found.matches for option in match.options)]
    for one in options:
        value = one.values[0]
        if one.name == "source":
            inside = network(value, Family.IPV4)
            assert inside is not None
            true = int(inside.network_address) <= address <= int(inside.broadcast_address)
        elif one.name == "dport":
            low, _, high = value.partition(":")
            true = int(low) <= port <= int(high or low)
        elif one.name == "in-interface":
            true = interface.startswith(value[:-1]) if value[-1] == "+" else interface == value
        else:
            true = True
        if true is one.negated:
            return False
    return True


@given(small_rules(), small_rules())
def test_no_packet_gets_past_a_rule_that_is_said_to_hide(earlier: str, new: str) -> None:
    if hidden_by(meaning(new), [meaning(earlier)]) is not None:
        for packet in PACKETS:
            assert not holds(new, *packet) or holds(earlier, *packet)


@given(small_rules())
def test_a_meaning_is_written_as_a_rule_of_that_meaning(command: str) -> None:
    said = meaning(command)
    if said.complete:
        again = meaning_of(rule_of(said, "filter", "INPUT"), Family.IPV4)
        assert again == said
