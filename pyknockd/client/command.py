"""The program: arguments → what is to be done → exit status."""

from __future__ import annotations

import getopt
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pyknockd.client.arguments import USAGE, VERSION, Options, read_options, read_ports, split
from pyknockd.client.errands import (
    INTERRUPTED,
    NAMED_DELAY,
    NOT_IN,
    NOT_SENT,
    ClientError,
    Errand,
    Result,
    Seen,
)
from pyknockd.client.knocking import Done, Voice, carry_out
from pyknockd.client.places import hosts_files
from pyknockd.client.screen import Clocked, Say, as_json, result_text, say, silent, table, warn
from pyknockd.client.sending import NameNotFound

if TYPE_CHECKING:
    from pyknockd.client.hosts import Hosts


def main(argv: list[str] | None = None) -> int:
    """Run ``knock``; returns 0 if every hit was sent, 1 if not, 3 if a port waited for stayed shut."""
    try:
        return run(sys.argv[1:] if argv is None else argv)
    except (ClientError, NameNotFound) as error:
        warn(str(error))
        return NOT_SENT
    except KeyboardInterrupt:
        return INTERRUPTED


def run(argv: list[str]) -> int:
    """Arguments → exit status; raises ClientError. Whatever ends in the usage text ends in 1."""
    try:
        given, operands = split(argv)
    except getopt.GetoptError as error:
        warn(error.msg)
        say(USAGE)
        return NOT_SENT
    for name, _ in given:
        if name in ("-V", "--version"):
            say(VERSION)
            return 0
        if name in ("-h", "--help"):
            say(USAGE)
            return NOT_SENT
    if len(operands) < 2 and ("--list", "") not in given and not (operands and hosts_files()):
        say(USAGE)
        return NOT_SENT
    options = read_options(given, operands)
    if options.listed:
        return _list()
    if len(operands) >= 2 and not operands[0].startswith("@"):
        delay = NAMED_DELAY if options.carried or options.wait else 0.0
        plain = Errand(operands[0], operands[0], tuple(operands[1:]), delay=delay)
        if options.close:
            raise ClientError("--close goes with a name of hosts.yaml: knock --close NAME")
        return _one(options.errand(plain), options)
    return _named(options)


def _named(options: Options) -> int:
    """Names of hosts.yaml; only they need YAML. Without a file it is the usage text, as ever."""
    hosts = _hosts()
    from pyknockd.client.files import members  # YAML's time is for those who want it

    found = members(hosts, options.operands)
    errands = []
    for host in found:
        errand = options.errand(host.errand)
        if options.close:
            if not host.closing:
                raise ClientError(f"{errand.name} has no sequence that closes: write close: PORTS")
            errand = replace(errand, ports=host.closing, wait=None, one_time="")
        elif host.proof != "one_time":
            errand = replace(errand, one_time="")
        errands.append(errand)
    if len(errands) == 1:
        return _one(errands[0], options)
    if options.carried:
        raise ClientError("-W carries one connection: name one host")
    if options.explain:
        return max((_explain(errand) for errand in errands), default=0)
    return _several(errands, options)


def _hosts() -> Hosts:
    """Raises ClientError."""
    try:
        from pyknockd.client.files import read_hosts
    except ImportError as error:
        raise ClientError(
            "hosts.yaml cannot be read without PyYAML: install python3-yaml"
        ) from error
    return read_hosts(hosts_files())


def _list() -> int:
    hosts = _hosts()
    for host in hosts.hosts:
        wait = f"  waits for port {host.errand.wait.port}" if host.errand.wait else ""
        closes = "  can be closed" if host.closing else ""
        say(f"{host.errand.name}  {host.errand.host}  by {host.proof}{wait}{closes}")
    for group in hosts.groups:
        say(f"@{group.name}  {' '.join(group.members)}")
    return 0


def _one(errand: Errand, options: Options) -> int:
    if options.explain:
        return _explain(errand)
    for remark in options.remarks:
        warn(remark)
    out: Say = (lambda text: print(text, file=sys.stderr)) if options.quiet else say
    if not options.verbose:
        out = silent
    told = Clocked(out, time.monotonic()) if errand.wait else out
    done = _do(errand, Voice(told, told, warn))
    result = done.result
    if options.json:
        say(as_json([result]))
    elif result.status == NOT_IN:
        warn(result_text(result))
    elif errand.wait and options.verbose:
        out(result_text(result))
    if done.answer.connection is not None and options.carried:
        from pyknockd.client.carrying import carry, hand_over

        with done.answer.connection as connection:
            (hand_over if options.fdpass else carry)(connection)
    elif done.answer.connection is not None:
        done.answer.connection.close()
    return result.status


def _do(errand: Errand, voice: Voice) -> Done:
    """Carry it out; a one-time sequence is marked once it has opened, or nobody looks whether."""
    if not errand.one_time:
        return carry_out(errand, voice)
    from pyknockd.client.onetime import next_one_time, use_one_time, words

    line = next_one_time(errand.one_time)
    done = carry_out(replace(errand, ports=words(line.steps)), voice)
    if done.result.seen in (Seen.SENT, Seen.OPEN):
        use_one_time(errand.one_time, line)
    else:
        voice.warn(
            f"{errand.one_time}: the sequence is kept; if the server has used it, put # before it"
        )
    return done


def _several(errands: list[Errand], options: Options) -> int:
    from pyknockd.client.several import side_by_side

    def act(errand: Errand, show: Say) -> Result:
        done = _do(errand, Voice(show, show, lambda text: warn(f"{errand.name}: {text}")))
        if done.answer.connection is not None:
            done.answer.connection.close()
        return done.result

    results = side_by_side(errands, act, warn)
    say(as_json(results) if options.json else table(results))
    return max((result.status for result in results), default=0)


def _explain(errand: Errand) -> int:
    ports = errand.ports
    if errand.one_time:
        from pyknockd.client.onetime import next_one_time, words

        ports = words(next_one_time(errand.one_time).steps)
    say(f"{errand.name}: to {errand.host}, address family {errand.family.value}")
    whole = " as a whole connection" if errand.way.connect else ""
    for typed in read_ports(ports, errand.udp):
        name = typed.protocol.name.lower()
        say(
            f"  {name} {typed.label}{whole if name == 'tcp' else ''}, then {errand.delay * 1000:g} ms"
        )
    if errand.wait:
        at = f"{errand.wait.host or errand.host}, port {errand.wait.port}"
        say(f"  then try {at} for {errand.wait.seconds:g} s; up to {errand.retries} retries")
    return 0
