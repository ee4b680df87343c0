"""knockd's command line: builds everything, once, in a fixed order, and starts the loop.

options → configuration → ``--check`` ends here → log → interface → background → loop → stop
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from pyknockd import __version__
from pyknockd.capture import CaptureError, Flood
from pyknockd.config import ConfigError, Freshness, Loaded
from pyknockd.config.advice import missing_programs
from pyknockd.control import Server, ServerError
from pyknockd.daemon import SIGNALS, Daemon
from pyknockd.doors import Journal, is_reached, missing_directives
from pyknockd.firewall import Firewall
from pyknockd.model import AUTO_INTERFACE, Config, Door, templates
from pyknockd.model.events import Event, Side, Trouble
from pyknockd.options import PID_PATH, parser
from pyknockd.reading import Files, here
from pyknockd.report import Log, Priority, Report
from pyknockd.state import GuardedError, claim
from pyknockd.system.background import (
    PidFile,
    PidFileError,
    detach,
    fill_standard_descriptors,
    name_process,
)
from pyknockd.system.first_process import stand_in
from pyknockd.system.places import control_path
from pyknockd.system.python import advice
from pyknockd.system.signals import Signals
from pyknockd.system.systemd import Notify, is_fenced, level
from pyknockd.system.trust import withdraw_environment
from pyknockd.world import World

if TYPE_CHECKING:
    from pyknockd.capture import Capture

EMULATED = "knockd 0.8"
# sysexits.h: nothing that another try would mend. systemd does not try again.
EX_CONFIG = 78


class StartError(Exception):
    """The daemon cannot start; the text says what to do about it."""


def main(argv: Sequence[str] | None = None) -> int:
    """The program. Returns its exit status.

    ``argv`` None: it is this process's, which from here on keeps nothing of its environment.
    """
    if argv is None:
        withdraw_environment()
        name_process("knockd")
    fill_standard_descriptors()
    options, rest = parser().parse_known_args(argv)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        return _refuse(unknown[0], to_start=not options.check)
    if options.version:
        print(f"{EMULATED}\npyknockd {__version__}")
        return 0
    strays = [word for word in rest if not word.startswith("-")]
    if strays and options.check:
        advice = f"to check another file: knockd --check -c {strays[0]}"
        print(f"knockd: unexpected argument {strays[0]}; {advice}", file=sys.stderr)
        return 2
    if options.demo:
        from pyknockd import demo

        return demo.main()
    if options.read is None and (options.address or options.json):
        parser().error("--address and --json go with --read")
    files = Files(
        *(options.config, options.settings, here(), bool(options.interface)),
        *(options.logfile, options.pidfile, options.daemon),
        to_be_used=options.read is None,
    )
    if options.check:
        return _check(options, files)
    for word in strays:
        # As knockd does, whose init scripts may have one.
        print(f"knockd: {word} is passed over; to read another file: -c {word}", file=sys.stderr)
    return _start(options, files)


def _refuse(option: str, *, to_start: bool) -> int:
    parser().print_help(sys.stderr)
    # Last, where "systemctl status" shows it.
    print(f"knockd: unknown option {option}", file=sys.stderr)
    if to_start:
        Notify().status(f"not started: unknown option {option}")
    return 2


def _start(options: argparse.Namespace, files: Files) -> int:
    """What keeps it from starting is told where it was started, and to the service manager."""
    if os.getpid() == 1:
        ended = stand_in()
        if ended is not None:
            return ended
    notify = Notify()
    try:
        return _serve(options, files, notify) if options.read is None else _replay(options, files)
    except ConfigError as error:
        _show(options, error.said, error.lines, Priority.ERROR)
        more = len(error.mistakes) - 1
        why, status = error.mistakes[0] + (f" (and {more} more)" if more else ""), EX_CONFIG
    except (StartError, GuardedError) as error:
        _complain(error)
        why, status = str(error), EX_CONFIG
    except CaptureError as error:
        _complain(error)
        why, status = str(error), 1
    notify.status(f"not started: {why}")
    return status


def _serve(options: argparse.Namespace, files: Files, notify: Notify) -> int:
    loaded, before = _read(files)
    _show(options, loaded.said, loaded.warnings, Priority.WARNING)
    config = loaded.config
    # A service manager that waits to be notified waits for this process and no other.
    launch = detach() if options.daemon and not notify.is_asked_for else None
    # As early as can be: whoever stops a daemon that is just starting stops it in good order.
    signals = Signals(SIGNALS)
    with ExitStack() as stack:
        log = Log(verbose=options.verbose, debug=options.debug)
        log.open(config.log_file, use_syslog=config.use_syslog)
        interfaces = _interfaces(options, config)
        state = claim(files.path, interfaces)
        stack.callback(state.close)
        before += state.events
        if launch is not None:
            before += _write_pid_file(config.pid_file or PID_PATH, stack)
        journal = Journal(state.journal)
        stack.callback(journal.close)
        fresh = Freshness(files.paths)
        server = _server(options.control or config.extras.control, files, before)
        world = World(
            _capture(options, interfaces),
            signals,
            Report(log, look_up=options.lookup, fenced=is_fenced()),
            journal,
            partial(files.read_again, fresh),
            files.config,
            partial(fresh.remarks, files.read),
            server,
            notify,
        )
        daemon = Daemon(world, config)
        before += files.keep(loaded)
        daemon.start(before)
        if launch is not None:
            launch.succeeded()
        daemon.run()
        daemon.stop()
    return 0


def _replay(options: argparse.Namespace, files: Files) -> int:
    """Tell what would have come of the packets of a capture; nothing is run or written."""
    try:
        from pyknockd import replay
    except ImportError as error:
        raise StartError(advice(error, "python3-scapy")) from error
    loaded = files.read()
    _show(options, loaded.said, loaded.warnings, Priority.WARNING)
    request = replay.Request(
        options.read,
        tuple(options.address or ()),
        _interfaces(options, loaded.config),
        options.only_ip_v4,
        options.json,
    )
    return replay.main(loaded.config, request)


def _complain(error: Exception) -> None:
    print(f"{level(2, Priority.ERROR.value)}knockd: {error}", file=sys.stderr)


def _read(files: Files) -> tuple[Loaded, list[Event]]:
    """What is to be guarded, and what there is to tell of that. Raises ConfigError."""
    try:
        return files.read(), []
    except ConfigError as error:
        instead = files.read_instead(error)
        if instead is None:
            raise
        loaded, taken = instead
        return loaded, [taken]


def _check(options: argparse.Namespace, files: Files) -> int:
    """Also what the files alone do not show; as root also which doors would open nothing.

    Runs no program, and writes nothing: the file may be another's.
    """
    try:
        loaded = files.read()
    except ConfigError as error:
        _show(options, error.said, error.lines, Priority.ERROR)
        instead = files.read_instead(error)
        if instead is not None:
            text = f"a start would take the last good file, of {instead[1].taken}"
            print(f"knockd: {text}: {instead[1].path}", file=sys.stderr)
        return 1
    _show(options, loaded.said, loaded.warnings, Priority.WARNING)
    config = loaded.config
    found = [f"no such program: {word}" for word in missing_programs(templates(config.doors))]
    if os.geteuid() == 0:
        found += Firewall().check(templates(config.doors))
    families = (False,) if options.only_ip_v4 else (False, True)
    found += [line for over in families for line in _misfits(config.doors, over_ipv6=over)]
    for line in found:
        print(f"{options.config}: warning: {line}", file=sys.stderr)
    return 0


def _misfits(doors: Iterable[Door], *, over_ipv6: bool) -> Iterator[str]:
    came, is_for = ("IPv6", "IPv4") if over_ipv6 else ("IPv4", "IPv6")
    for door in doors:
        missing = missing_directives(door, over_ipv6=over_ipv6)
        if missing and is_reached(door, over_ipv6=over_ipv6):
            text = f"stays shut for knocks over {came}: its command is for {is_for}"
            yield f"[{door.name}] {text}: add {' and '.join(missing)}"


def _capture(options: argparse.Namespace, names: tuple[str, ...]) -> Callable[[Flood], Capture]:
    """What makes the capture, on the interfaces ``names``. Raises CaptureError."""
    # Here and not above: what ends before it listens need not wait for scapy to load.
    try:
        from pyknockd.capture import Capture
    except ImportError as error:
        raise CaptureError(advice(error, "python3-scapy")) from error
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


def _server(given: str | None, files: Files, before: list[Event]) -> Server | None:
    """What knockctl speaks to; without it the doors are guarded all the same."""
    path = Path(files.folder, given) if given else control_path(files.path)
    try:
        return Server(path)
    except ServerError as error:
        before.append(Trouble(monotonic(), Side.CONTROL, str(error)))
        return None


def _write_pid_file(path: str, stack: ExitStack) -> list[Event]:
    """A file that cannot be had is only reported: no door needs it."""
    try:
        stack.enter_context(PidFile(path))
    except PidFileError as error:
        return [Trouble(monotonic(), Side.PID_FILE, str(error))]
    return []


def _show(
    options: argparse.Namespace, said: Sequence[str], lines: Sequence[str], priority: Priority
) -> None:
    """What was read to standard output, if that is asked for; complaints to standard error."""
    mark = level(2, priority.value)
    complaints = [f"{mark}{line}" for line in lines]
    # As bytes: what is in the file need not be text in anybody's encoding.
    for stream, texts in ((sys.stdout, said if options.debug else ()), (sys.stderr, complaints)):
        data = "".join(f"{line}\n" for line in texts).encode("utf-8", "surrogateescape")
        if data:
            stream.flush()
            stream.buffer.write(data)
            stream.buffer.flush()
