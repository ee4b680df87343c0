"""Alerts, as values."""

from __future__ import annotations

from pyknockd.model import Alert, Per, When


def test_an_alert_is_for_the_first_time_and_each_source_unless_it_says_otherwise() -> None:
    alert = Alert(When.FAILED)
    assert (alert.count, alert.within, alert.per) == (1, 60.0, Per.SOURCE)
    assert alert.log
    assert alert.command == ""


def test_the_words_of_the_settings_are_those_of_the_values() -> None:
    assert When("command-failed") is When.COMMAND_FAILED
    assert Per("door") is Per.DOOR
