"""What a rule matches."""

from __future__ import annotations

from hypothesis import given

from pyknockd.firewall.conditions import meaning_of, rule_of
from pyknockd.firewall.rule import Family
from tests.support.rules import meaning, small_rules


@given(small_rules())
def test_a_meaning_is_written_as_a_rule_of_that_meaning(command: str) -> None:
    said = meaning(command)
    if said.complete:
        again = meaning_of(rule_of(said, "filter", "INPUT"), Family.IPV4)
        assert again == said
