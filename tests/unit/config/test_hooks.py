"""Alerts, and the commands of the start and the stop, in pyknockd.yaml."""

from __future__ import annotations

import pytest

from pyknockd.config.settings import parse
from pyknockd.model import Alert, Per, When

ALL = """
alerts:
  - {when: failed, count: 20, within: 60, per: source, log: true, command: tell %IP% %DOOR%}
  - when: command-hung
    per: all
    log: false
on_start: [one, two]
on_stop: three
"""


def test_every_key_is_read() -> None:
    extras, remarks = parse(ALL)
    assert remarks == ()
    assert extras.alerts == (
        Alert(When.FAILED, 20, 60, Per.SOURCE, True, "tell %IP% %DOOR%"),
        Alert(When.COMMAND_HUNG, per=Per.ALL, log=False),
    )
    assert (extras.on_start, extras.on_stop) == (("one", "two"), ("three",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts: [{count: 3}]", "an alert without when; expected when: failed or opened or"),
        ("alerts: [{when: never}]", "when: found 'never'; expected failed or"),
        ("alerts: [{when: failed, per: day}]", "per: found 'day'; expected source or door or all"),
        ("alerts: [{when: failed, count: 0}]", "count: found '0'; expected a number from 1"),
        ("alerts: [{when: failed, log: 1}]", "log: found '1'; expected true or false"),
        ("alerts: [{when: failed, command: []}]", "command: found a list; expected a command"),
        ("alerts: [{when: failed, wen: 1}]", "no key wen in an alert; did you mean when?"),
        ("alerts: soon", "found 'soon'; expected an alert to hold KEY: VALUE"),
        ("on_start: {a: b}", "on_start: found a mapping; expected a command, or a list of them"),
        ("on_stop: []", "on_stop: found a list; expected a command, or a list of them"),
    ],
)
def test_a_mistake_is_told_once(text: str, said: str) -> None:
    (remark,) = parse(text)[1]
    assert remark.text.startswith(said)
