"""An errand carried out: the knock, the wait for the port, and the knock again.

A retry knocks twice: quickly, and if that does not do patiently, each TCP packet's socket held for
over a second, so that the kernel sends a SYN again that was lost. pyknockd knows such a repeated SYN;
knockd 0.8, which takes it for a wrong port, is served by the quick one.
"""

from __future__ import annotations

import random
import socket
import time
from dataclasses import dataclass, replace

from pyknockd.client.arguments import read_ports
from pyknockd.client.errands import Errand, Family, Hit, Result, Seen, Wait
from pyknockd.client.screen import Say
from pyknockd.client.sending import (
    Address,
    NameNotFound,
    resolve_hit,
    resolve_host,
    resolve_port,
    send_hit,
)
from pyknockd.client.waiting import Answer, try_port
from pyknockd.model import Protocol

APART = 0.1  # seconds at least between the packets of a retry, so that none overtakes another
HELD = 1.1  # the same of a patient one; Linux and others send a SYN again after a second
MOST_HELD = 4.5  # a patient sequence may not take longer: a door's Seq_Timeout is often 5
FIRST_PAUSE, MOST_PAUSE = 0.5, 30.0  # seconds before the first retry; each pauses twice as long


@dataclass(frozen=True, slots=True)
class Voice:
    """``tell`` gets each step, ``hit`` each packet, ``warn`` what went wrong."""

    tell: Say
    hit: Say
    warn: Say


@dataclass(frozen=True, slots=True)
class Done:
    """A result, and the connection that was waited for if somebody wants it."""

    result: Result
    answer: Answer = Answer(Seen.SENT)


def carry_out(errand: Errand, voice: Voice) -> Done:
    """Knock, and wait if it is wanted. Raises ClientError if nothing can be sent."""
    hits = read_hits(errand, voice.warn)
    began = time.monotonic()
    if errand.wait is None:
        complete = knock(hits, resolve_host(errand.host, errand.family), errand, voice)
        time_taken = time.monotonic() - began
        seen = Seen.SENT if complete else Seen.FAILED
        return Done(Result(errand.name, errand.host, seen, 1, time_taken, complete=complete))
    resolve_port(errand.wait.port, Protocol.TCP)
    answer, tries = Answer(Seen.UNRESOLVED), 0
    for number, hold in enumerate([False, *([False, True] * errand.retries)]):
        if number:
            _pause(number, voice)
        tries = number + 1
        answer, is_final = _try(hits, errand, hold if number else None, voice)
        if answer.seen is Seen.OPEN or is_final:
            break
    host = errand.wait.host or errand.host
    seconds = time.monotonic() - began
    result = Result(errand.name, host, answer.seen, tries, seconds, errand.wait.port)
    return Done(result, answer)


def read_hits(errand: Errand, warn: Say) -> list[Hit]:
    """Every port resolved. Raises ClientError."""
    hits = []
    for typed in read_ports(errand.ports, errand.udp):
        if typed.remark:
            warn(typed.remark)
        hits.append(resolve_hit((typed.protocol, typed.label)))
    return hits


def _pause(number: int, voice: Voice) -> None:
    seconds = min(MOST_PAUSE, FIRST_PAUSE * 2 ** ((number - 1) // 2)) * random.uniform(0.5, 1.5)
    voice.tell(f"knocking again in {seconds:.1f} s")
    time.sleep(seconds)


def _try(hits: list[Hit], errand: Errand, hold: bool | None, voice: Voice) -> tuple[Answer, bool]:
    """One knock and its wait; and whether another would be of no use. ``hold`` is None at first."""
    wait = errand.wait or Wait("")
    try:
        addresses = resolve_host(errand.host, errand.family)
        targets = _targets(addresses, errand, wait)
    except NameNotFound as error:
        voice.tell(str(error))
        return Answer(Seen.UNRESOLVED), not error.again
    if hold is None:
        knock(hits, addresses, errand, voice, last_pause=False)
    else:
        held = hold and HELD * (len(hits) - 1) <= MOST_HELD
        again = replace(errand, delay=max(errand.delay, HELD if held else APART), held=held)
        knock(hits, addresses, again, voice, last_pause=held)
    voice.tell(f"trying port {wait.port} for up to {wait.seconds:g} s")
    port = resolve_port(wait.port, Protocol.TCP)
    answer = try_port(targets, port, wait.seconds, errand.way)
    voice.tell(f"port {wait.port}: {answer.seen.value}")
    return answer, False


def _targets(addresses: list[Address], errand: Errand, wait: Wait) -> list[Address]:
    """Where to try: over the families that were knocked over, since a door opens for an address."""
    if wait.host in ("", errand.name, errand.host):
        return addresses
    if errand.family is Family.BOTH:
        return resolve_host(wait.host, Family.BOTH)
    is_six = addresses[0].family == socket.AF_INET6
    return resolve_host(wait.host, Family.V6 if is_six else Family.V4)


def knock(
    hits: list[Hit],
    addresses: list[Address],
    errand: Errand,
    voice: Voice,
    *,
    last_pause: bool = True,
) -> bool:
    """Send every hit to every address; true if all were sent.

    Pauses after the last hit as well, as knock 0.8 does: ``knock -d 500 … && ssh …`` counts on it.
    """
    complete = True
    for address in addresses:
        for number, hit in enumerate(hits, 1):
            pause = errand.delay if last_pause or number < len(hits) else 0.0
            complete &= _hit(address, hit, replace(errand, delay=pause), voice)
    return complete


def _hit(address: Address, hit: Hit, errand: Errand, voice: Voice) -> bool:
    protocol = hit.protocol.name.lower()
    voice.hit(f"hitting {protocol} {address}:{hit.label}")
    sender, is_sent = None, True
    try:
        sender = send_hit(address, hit, errand.way)
    except OSError as error:
        is_sent = False
        voice.warn(f"{protocol} {address}:{hit.label} not sent: {error.strerror or error}")
    if sender is not None and not errand.held:
        sender.close()
    time.sleep(errand.delay)
    if sender is not None:
        sender.close()
    return is_sent
