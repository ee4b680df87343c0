"""The matches and targets that are known: each of their options is read, and written again."""

from __future__ import annotations

import pytest

from pyknockd.firewall.extensions import IMPLICIT_MATCHES, MATCH_NAMES, MATCHES, TARGETS
from pyknockd.firewall.iptables import parse, words
from pyknockd.firewall.rule import Option

OPTIONS_OF_MATCHES = [(match, name) for match, known in MATCHES.items() for name in known]
OPTIONS_OF_TARGETS = [(target, name) for target, known in TARGETS.items() for name in known]


@pytest.mark.parametrize(("match", "name"), OPTIONS_OF_MATCHES)
def test_each_option_of_a_match_takes_its_values(match: str, name: str) -> None:
    values = ("1", "2")[: MATCHES[match][name]]
    rule = parse(["-A", "INPUT", "-m", match, f"--{name}", *values, "-j", "ACCEPT"])
    assert rule is not None
    assert rule.matches[0].options == (Option(name, values),)
    assert parse(words(rule)) == rule


@pytest.mark.parametrize(("target", "name"), OPTIONS_OF_TARGETS)
def test_each_option_of_a_target_takes_its_values(target: str, name: str) -> None:
    values = ("1", "2")[: TARGETS[target][name]]
    rule = parse(["-A", "INPUT", "-j", target, f"--{name}", *values])
    assert rule is not None
    assert rule.target is not None
    assert rule.target.options == (Option(name, values),)
    assert parse(words(rule)) == rule


@pytest.mark.parametrize(("match", "name"), OPTIONS_OF_MATCHES)
def test_an_option_with_a_value_too_few_is_not_read(match: str, name: str) -> None:
    values = ["1"] * (MATCHES[match][name] - 1)
    if MATCHES[match][name]:
        assert parse(["-A", "INPUT", "-j", "DROP", "-m", match, f"--{name}", *values]) is None


@pytest.mark.parametrize(("protocol", "match"), IMPLICIT_MATCHES.items())
def test_a_protocols_options_load_its_match(protocol: str, match: str) -> None:
    name, count = next(iter(MATCHES[match].items()))
    rule = parse(["-A", "INPUT", "-p", protocol, f"--{name}", *["1"] * count])
    assert rule is not None
    assert [found.name for found in rule.matches] == [match]


@pytest.mark.parametrize(("other", "match"), MATCH_NAMES.items())
def test_a_match_has_one_name_however_it_is_called(other: str, match: str) -> None:
    assert parse(["-A", "INPUT", "-m", other]) == parse(["-A", "INPUT", "-m", match])
