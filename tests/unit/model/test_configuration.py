"""What holds where the files say nothing."""

from __future__ import annotations

from dataclasses import astuple

from pyknockd.model import Config, Door, Limits, Timers


def test_an_empty_configuration_guards_nothing_and_writes_nowhere() -> None:
    config = Config()
    assert config.doors == ()
    assert not config.use_syslog
    assert (config.log_file, config.pid_file, config.interface) == (None, None, None)
    assert config.extras.timers is Timers.KEEP, "a stop closes no door that is not told to"


def test_every_limit_allows_something() -> None:
    assert all(limit > 0 for limit in astuple(Limits()))


def test_timeouts_are_those_of_knockd() -> None:
    assert (Door("d").timeout, Door("d").open_for) == (25.0, 10.0)
