"""knockd's options."""

from __future__ import annotations

import pytest

from pyknockd.options import PID_PATH, SETTINGS_PATH, parser
from pyknockd.system.places import CONFIG_PATH


def test_without_options_the_files_are_where_they_always_are() -> None:
    options = parser().parse_args([])
    assert (options.config, options.settings) == (CONFIG_PATH, SETTINGS_PATH)
    assert not any((options.daemon, options.check, options.verbose, options.read))


@pytest.mark.parametrize(
    "words",
    [
        ["-i", "eth0", "-d", "-c", "x", "-D", "-l", "-p", "p", "-g", "g", "-v", "-4"],
        ["--interface", "eth0", "--daemon", "--config", "x", "--debug", "--lookup"],
        ["--pidfile", "p", "--logfile", "g", "--verbose", "--only-ip-v4"],
    ],
)
def test_every_option_of_knockd_is_one(words: list[str]) -> None:
    parser().parse_args(words)


def test_addresses_are_a_list_in_their_shortest_form() -> None:
    options = parser().parse_args(["--read", "-", "--address", "192.0.2.1, 2001:DB8::0:1"])
    assert options.address == ["192.0.2.1", "2001:db8::1"]
    with pytest.raises(SystemExit):
        parser().parse_args(["--address", "home"])


def test_the_help_names_the_files() -> None:
    assert PID_PATH in parser().format_help()
