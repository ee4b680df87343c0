"""knockd's command line: builds everything, once, in a fixed order, and starts the loop.

options → configuration → ``--check`` ends here → log → interface → background → loop → stop
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from pyknockd import __version__
from pyknockd.capture import CaptureError, Flood
from pyknockd.config import ConfigError, Freshness, load
from pyknockd.config.advice import missing_programs
from pyknockd.control import Server, ServerError
from pyknockd.daemon import SIGNALS, Daemon
from pyknockd.doors import Journal
from pyknockd.firewall import Firewall
from pyknockd.model import AUTO_INTERFACE, Config, templates
from pyknockd.model.events import Event, Side, Trouble
from pyknockd.report import Log, Report
from pyknockd.system.background import (
    AlreadyRunning,
    PidFile,
    PidFileError,
    detach,
    fill_standard_descriptors,
    name_process,
)
from pyknockd.system.places import CONFIG_PATH, control_path, journal_path
from pyknockd.system.python import advice
from pyknockd.system.signals import Signals
from pyknockd.system.trust import inside, withdraw_environment
from pyknockd.world import World

if TYPE_CHECKING:
    from pyknockd.capture import Capture

SETTINGS_PATH = "/etc/pyknockd.yaml"
PID_PATH = "/var/run/knockd.pid"
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
    add(
        "-i",
        "--interface",
        metavar="NAME",
        help="listen on these, any or auto (default: eth0, else the default route's)",
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
    add("-V", "--version", action="store_true", help="print the version and end")
    add("-h", "--help", action="help", help="print this and end")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The program. Returns its exit status.

    ``argv`` None: it is this process's, which from here on keeps nothing of its environment.
    """
    if argv is None:
        withdraw_environment()
        name_process("knockd")
    fill_standard_descriptors()
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
        _show(options, error.said, error.lines)
    except (StartError, CaptureError, AlreadyRunning) as error:
        print(f"knockd: {error}", file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> int:
    folder = _folder()
    config = _read(options, folder, show=True)
    if options.check:
        return _check(options, config)
    # A service manager that waits to be notified waits for this process and no other.
    launch = detach() if options.daemon and "NOTIFY_SOCKET" not in os.environ else None
    # As early as can be: whoever stops a daemon that is just starting stops it in good order.
    signals = Signals(SIGNALS)
    with ExitStack() as stack:
        log = Log(verbose=options.verbose, debug=options.debug)
        log.open(config.log_file, use_syslog=config.use_syslog)
        before: list[Event] = []
        if launch is not None:
            before += _write_pid_file(config.pid_file or PID_PATH, stack)
        config_path = os.path.join(folder, options.config)
        journal = Journal(journal_path(config_path))
        stack.callback(journal.close)
        files = Freshness((config_path, os.path.join(folder, options.settings)))
        path = options.control or config.extras.control or str(control_path(config_path))
        server = _server(os.path.join(folder, path), before)
        world = World(
            _capture(options, config),
            signals,
            Report(log, look_up=options.lookup),
            journal,
            partial(_read_again, options, folder, files),
            options.config,
            partial(files.remarks, partial(_read, _from_anywhere(options, folder), folder)),
            server,
        )
        daemon = Daemon(world, config)
        daemon.start(before)
        if launch is not None:
            launch.succeeded()
        daemon.run()
        daemon.stop()
    return 0


def _check(options: argparse.Namespace, config: Config) -> int:
    """What the files alone do not show; as root also which doors would open nothing.

    Runs no program, and writes nothing: the file may be another's.
    """
    found = [f"no such program: {word}" for word in missing_programs(templates(config.doors))]
    if os.geteuid() == 0:
        found += Firewall().check(templates(config.doors))
    for line in found:
        print(f"{options.config}: warning: {line}", file=sys.stderr)
    return 0


def _capture(options: argparse.Namespace, config: Config) -> Callable[[Flood], Capture]:
    """What makes the capture, on the interfaces that are to be listened on. Raises StartError."""
    # Here and not above: what ends before it listens need not wait for scapy to load.
    try:
        from pyknockd.capture import Capture
    except ImportError as error:
        raise StartError(advice(error, "python3-scapy")) from error
    names = _interfaces(options, config)
    return lambda flood: Capture(names, flood, ipv4_only=options.only_ip_v4)


def _interfaces(options: argparse.Namespace, config: Config) -> tuple[str, ...]:
    """The command line takes precedence over knockd.conf, and that over pyknockd.yaml."""
    text = options.interface or config.interface
    if text:
        # An alias, eth0:1, is no interface but an address of one.
        names = [name.strip().partition(":")[0] for name in text.split(",")]
        if not any(names):
            raise StartError(f"there is no name in the interface '{text}'")
        return tuple(dict.fromkeys(filter(None, names)))
    return config.extras.interfaces or (AUTO_INTERFACE,)


def _server(path: str, before: list[Event]) -> Server | None:
    """What knockctl speaks to; without it the doors are guarded all the same."""
    try:
        return Server(Path(path))
    except ServerError as error:
        before.append(Trouble(monotonic(), Side.CONTROL, str(error)))
        return None


def _write_pid_file(path: str, stack: ExitStack) -> list[Event]:
    """Raises AlreadyRunning; a file that cannot be written is only reported."""
    try:
        stack.enter_context(PidFile(path))
    except PidFileError as error:
        return [Trouble(monotonic(), Side.PID_FILE, str(error))]
    return []


def _folder() -> str:
    """Where relative paths begin, also once ``-d`` has gone to the folder /."""
    try:
        return os.getcwd()
    except OSError:
        return "/"


def _read(options: argparse.Namespace, folder: str, *, show: bool = False) -> Config:
    """The configuration as the files and the command line give it. Raises ConfigError."""
    given = bool(options.interface)
    loaded = load(options.config, options.settings, interface_given=given, folder=folder)
    if show:
        _show(options, loaded.said, loaded.warnings)
    config = loaded.config
    config = replace(
        config,
        log_file=config.log_file or options.logfile,
        pid_file=config.pid_file or options.pidfile,
    )
    return _absolute(config, folder, in_background=options.daemon)


def _from_anywhere(options: argparse.Namespace, folder: str) -> argparse.Namespace:
    """``options`` for the worker, which cannot know what the current folder is at the moment."""
    paths = {name: os.path.join(folder, getattr(options, name)) for name in ("config", "settings")}
    return argparse.Namespace(**{**vars(options), **paths})


def _absolute(config: Config, folder: str, *, in_background: bool) -> Config:
    def absolute(path: str | None) -> str | None:
        return None if path is None else os.path.join(folder, path)

    # The worker opens these, whatever the loop has made the current folder for a moment.
    doors = tuple(replace(d, one_time_file=absolute(d.one_time_file)) for d in config.doors)
    if not in_background:
        return replace(config, doors=doors)
    log_file, pid_file = absolute(config.log_file), absolute(config.pid_file)
    return replace(config, doors=doors, log_file=log_file, pid_file=pid_file)


def _read_again(options: argparse.Namespace, folder: str, files: Freshness) -> Config:
    with ExitStack() as stack:
        with suppress(OSError):  # gone since, which matters to relative paths only
            stack.enter_context(inside(folder))
        config = _read(options, folder)
        files.take()
        return config


def _show(options: argparse.Namespace, said: Sequence[str], lines: Sequence[str]) -> None:
    # As bytes: what is in the file need not be text in anybody's encoding.
    for stream, texts in ((sys.stdout, said if options.debug else ()), (sys.stderr, lines)):
        data = "".join(f"{line}\n" for line in texts).encode("utf-8", "surrogateescape")
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
