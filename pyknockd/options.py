"""knockd's options."""

from __future__ import annotations

import argparse
from ipaddress import ip_address

from pyknockd.system.places import CONFIG_PATH

SETTINGS_PATH = "/etc/pyknockd.yaml"
PID_PATH = "/var/run/knockd.pid"


def parser() -> argparse.ArgumentParser:
    """What reads them."""
    made = argparse.ArgumentParser(
        prog="knockd",
        usage="knockd [options]",
        description="Opens doors to those who knock at the right ports in the right order.",
        add_help=False,
    )
    add = made.add_argument
    add(
        "-i",
        "--interface",
        metavar="NAME",
        help="listen on these, any or auto (the default: eth0, else the default route's interface,"
        " else the only one)",
    )
    add("-d", "--daemon", action="store_true", help="run in the background")
    add("-c", "--config", metavar="FILE", default=CONFIG_PATH, help=f"default {CONFIG_PATH}")
    add("-D", "--debug", action="store_true", help="print what is read from the configuration")
    add("-l", "--lookup", action="store_true", help="show the names of addresses in the log")
    add("-p", "--pidfile", metavar="FILE", help=f"with -d (default {PID_PATH})")
    add("-g", "--logfile", metavar="FILE", help="write the log to this file")
    add("-v", "--verbose", action="store_true", help="print the log on standard output as well")
    add("-4", "--only-ip-v4", action="store_true", help="listen to IPv4 only")
    add("--settings", metavar="FILE", default=SETTINGS_PATH, help=f"default {SETTINGS_PATH}")
    add("--control", metavar="PATH", help="the socket for knockctl (default /run/knockd/control)")
    add("--check", action="store_true", help="read the configuration, say what is wrong, and end")
    add("--demo", action="store_true", help="show a knock in two throw-away network namespaces")
    add(
        "--read", metavar="FILE", help="tell what would have come of a capture; - is standard input"
    )
    own = "with --read: the host's addresses"
    add("--address", metavar="LIST", action="extend", type=_addresses, help=own)
    add("--json", action="store_true", help="with --read: a line for each event, for programs")
    add("-V", "--version", action="store_true", help="print the version and end")
    add("-h", "--help", action="help", help="print this and end")
    return made


def _addresses(text: str) -> list[str]:
    """A list with commas between."""
    try:
        return [str(ip_address(word.strip())) for word in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; expected 192.0.2.1,2001:db8::1") from error
