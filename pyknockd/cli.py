"""knockd's command line: builds everything, once, in a fixed order, and starts the loop.

options → configuration → ``--check`` ends here → log → interface → background → loop → stop
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from pyknockd import __version__, onetime
from pyknockd.config import Reading, parse
from pyknockd.daemon import ConfigError, Daemon, Ears, World
from pyknockd.detach import AlreadyRunning, PidFile, PidFileError, detach
from pyknockd.interfaces import Changes
from pyknockd.log import Log, LogError
from pyknockd.model import Config, Severity, Step
from pyknockd.report import Report

CONFIG_PATH = "/etc/knockd.conf"
PID_PATH = "/var/run/knockd.pid"
INTERFACE = "eth0"
EMULATED = "knockd 0.8"


class StartError(Exception):
    """The daemon cannot start; the text says what to do about it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="knockd",
        usage="knockd [options]",
        description="Opens doors to those who knock at the right ports in the right order.",
        add_help=False,
    )
    add = parser.add_argument
    add("-i", "--interface", metavar="NAME", help=f"listen on this interface (default {INTERFACE})")
    add("-d", "--daemon", action="store_true", help="run in the background")
    add("-c", "--config", metavar="FILE", default=CONFIG_PATH, help=f"default {CONFIG_PATH}")
    add("-D", "--debug", action="store_true", help="print what is read from the configuration")
    add("-l", "--lookup", action="store_true", help="show the names of addresses in the log")
    add("-p", "--pidfile", metavar="FILE", help=f"with -d (default {PID_PATH})")
    add("-g", "--logfile", metavar="FILE", help="write the log to this file")
    add("-v", "--verbose", action="store_true", help="print the log on standard output as well")
    add("-4", "--only-ip-v4", action="store_true", help="listen to IPv4 only")
    add("--check", action="store_true", help="read the configuration, say what is wrong, and end")
    add("--demo", action="store_true", help="show a knock in two throw-away network namespaces")
    add("-V", "--version", action="store_true", help="print the version and end")
    add("-h", "--help", action="help", help="print this and end")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The program. Returns its exit status."""
    options, rest = _parser().parse_known_args(argv)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        print(f"knockd: unknown option {unknown[0]}", file=sys.stderr)
        _parser().print_help(sys.stderr)
        return 2
    if options.version:
        print(f"{EMULATED}\npyknockd {__version__}")
        return 0
    if options.demo:
        from pyknockd import demo

        return demo.main()
    try:
        return _serve(options)
    except ConfigError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
    except (StartError, LogError, AlreadyRunning) as error:
        print(f"knockd: {error}", file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> int:
    config = _read(options, show=True)
    if options.check:
        return 0
    interface = options.interface or config.interface or INTERFACE
    launch = detach() if options.daemon else None
    with ExitStack() as stack:
        log = Log(verbose=options.verbose, debug=options.debug)
        log.open(config.log_file, use_syslog=config.use_syslog)
        if launch is not None:
            _write_pid_file(config.pid_file or PID_PATH, stack, log)
        ears = _listen(interface, config, ipv4_only=options.only_ip_v4)
        report = Report(log, look_up=options.lookup)
        world = World(ears, Changes(), report, lambda: _read(options), options.config)
        daemon = Daemon(world, config)
        log.say(f"starting up, listening on {interface}")
        if launch is not None:
            launch.succeeded()
        daemon.run()
        daemon.stop()
    return 0


def _listen(interface: str, config: Config, *, ipv4_only: bool) -> Ears:
    """The capture on ``interface``, listening. Raises StartError."""
    # Here and not above: what ends before it listens need not wait for scapy to load.
    try:
        from pyknockd.capture import Capture, CaptureError
    except ImportError as error:
        raise StartError(f"{error}; try: apt install python3-scapy") from error
    try:
        capture = Capture(interface, ipv4_only=ipv4_only)
        capture.listen(config.doors)
    except CaptureError as error:
        raise StartError(str(error)) from error
    return capture


def _write_pid_file(path: str, stack: ExitStack, log: Log) -> None:
    """Raises AlreadyRunning; a file that cannot be written is only told."""
    try:
        stack.enter_context(PidFile(path))
    except PidFileError as error:
        log.say(str(error))


def _read(options: argparse.Namespace, *, show: bool = False) -> Config:
    """The configuration as the file and the command line give it. Raises ConfigError."""
    path: str = options.config
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError([f"knockd: cannot read {path}: {error.strerror}"]) from error
    reading = parse(text, interface_given=bool(options.interface), first_sequence=first_sequence)
    lines = _remarks(reading, path)
    if show:
        if options.debug:
            print(*reading.said, sep="\n", flush=True)
        if not reading.mistakes:
            print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr)
    if reading.mistakes:
        raise ConfigError(lines)
    config = reading.config
    return replace(
        config,
        log_file=config.log_file or options.logfile,
        pid_file=config.pid_file or options.pidfile,
    )


def first_sequence(path: str) -> tuple[Step, ...] | str:
    """What config.parse asks for: the sequence in force in a file, or why there is none."""
    try:
        return onetime.first_sequence(path)
    except onetime.OneTimeError as error:
        return str(error)


def _remarks(reading: Reading, path: str) -> list[str]:
    marks = {Severity.MISTAKE: "", Severity.WARNING: "warning: "}
    return [
        f"{path}:{remark.line}: {marks[remark.severity]}{remark.text}" for remark in reading.remarks
    ]
