"""The rules of a knock against the real knockd: random doors, random knocks, whole way, line by line.

A scenario goes through the real program (tests/oracle) and through pyknockd's own way from a file's
text and a frame's bytes, kernel filter included, to events. Where the two differ nothing is left
out: a model of knockd with its faults as switches must do exactly as the real one with all faults
on, and exactly as pyknockd with all off. The fewest faults with which the model already does as
the real one are what the scenario differs by.

``PYKNOCKD_SCENARIOS`` is how many (500), ``PYKNOCKD_SEED`` the first one's seed (0).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address
from itertools import combinations
from random import Random

import pytest

from pyknockd.capture.decode import Frame, Ingress, knock_of, no_peers_on_wire
from pyknockd.capture.filter import Filter
from pyknockd.config.knockd_conf import parse
from pyknockd.model import Door, Flags, Knock, Link, Protocol, Step
from pyknockd.model.events import AttemptEnded, AttemptEvent, EndCause, Opened, StageReached
from pyknockd.proof.sequence import Sequences
from tests.support.knockd_model import Fault, Model
from tests.support.oracle import Kind, Network, Packet, run
from tests.support.oracle.driver import ETHERNET, RAW_IP
from tests.support.packets import MSS, Route, ethernet, ip, tcp, udp
from tests.support.socketfilter import Kernel

SCENARIOS = int(os.environ.get("PYKNOCKD_SCENARIOS", "500"))
FIRST_SEED = int(os.environ.get("PYKNOCKD_SEED", "0"))

TCP, UDP = Protocol.TCP, Protocol.UDP
OWN_4, OWN_6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
FOREIGN_4, FOREIGN_6 = ("192.0.2.77", "203.0.113.5"), ("2001:db8::77",)
CLIENTS_4, CLIENTS_6 = ("198.51.100.1", "198.51.100.2", "198.51.100.3"), ("2001:db8:1::9",)
ETHERNET_HEADER = 14
MOST_PACKETS = 60  # fewer than the SYNs that pyknockd remembers of a source
NO_IPV6 = "IPv6 is not supported under this link-layer type\n"
HEARS_NOTHING = "pcap_compile: expression rejects all packets\n"
TICK = 1 / 64  # seconds; times in ticks add up without rounding, here and in the oracle

Story = list[tuple[int, str]]
"""What is told at which packet, by its index, in order."""


@dataclass(frozen=True, slots=True)
class Section:
    """A door, and the lines of a knockd.conf that describe it."""

    door: Door
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A knock on its way: when it arrives, and what is to be read from its frame."""

    time: float
    knock: Knock


@dataclass(frozen=True, slots=True)
class Scenario:
    """Doors on an interface with addresses ``own``, and all that comes in, in order of time."""

    sections: tuple[Section, ...]
    own: tuple[str, ...]
    link: Link
    sent: tuple[Sent, ...]

    @property
    def config(self) -> str:
        return "".join(section.text for section in self.sections)

    @property
    def repeats(self) -> bool:
        """Whether a segment comes again, with the same ports and number."""
        knocks = [replace(sent.knock, flags=0) for sent in self.sent if sent.knock.protocol is TCP]
        return len(set(knocks)) < len(knocks)

    def frames(self) -> list[Packet]:
        frames = (_ethernet(sent.knock) for sent in self.sent)
        start = ETHERNET_HEADER if self.link is Link.IP else 0
        return [Packet(s.time, f[start:]) for s, f in zip(self.sent, frames, strict=True)]


def _ethernet(knock: Knock) -> bytes:
    body = udp(knock.port, source_port=knock.source_port)
    if knock.protocol is TCP:
        body = tcp(
            *(knock.port, int(knock.flags)),
            number=knock.sequence_number,
            source_port=knock.source_port,
            options=b"" if knock.bare else MSS,
        )
    route = Route(knock.source, knock.destination)
    return ethernet(ip(body, knock.protocol.value, route))


# Making scenarios.


class Maker:
    """Makes the scenario of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._connections = 0
        own_6 = OWN_6[: self.one_of(0, 1, 2)]
        self._own = OWN_4[: self.one_of(1, 2)] + own_6
        self._clients = CLIENTS_4[: self.one_of(1, 2, 3)] + (CLIENTS_6 if own_6 else ())
        self._ports = range(7000, 7000 + self.one_of(2, 3, 5, 9))
        self._doors: list[Door] = []

    def one_of(self, *choices: int) -> int:
        return self._random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def scenario(self) -> Scenario:
        sections = [self._section(number) for number in range(self.one_of(1, 1, 2, 3, 5, 9))]
        visits = [self._visit() for _ in range(self.one_of(1, 1, 2, 3, 5, 8))]
        sent = sorted((sent for visit in visits for sent in visit), key=lambda sent: sent.time)
        link = Link.IP if self.chance(0.1) else Link.ETHERNET
        return Scenario(tuple(sections), self._own, link, tuple(sent[:MOST_PACKETS]))

    def _step(self) -> Step:
        return Step(self._random.choice(self._ports), UDP if self.chance(0.25) else TCP)

    def _section(self, number: int) -> Section:
        length = self.one_of(1, 2, 2, 3, 3, 4, 5)
        steps = [self._step() for _ in range(length)]
        if self._doors and self.chance(0.4):
            shared = self._random.choice(self._doors).steps[: self.one_of(1, 2, 3)]
            steps = [*shared, *steps][:5]
        # A name may come twice: that makes two doors.
        name = f"d{self.one_of(number, number, number, number, 0)}"
        timeout = self.one_of(1, 2, 3, 5, 5, 8, 25, 25, 0, -1)
        target = (
            self._random.choice(self._own + FOREIGN_4 + FOREIGN_6) if self.chance(0.25) else None
        )
        words = self._flag_words()
        required, forbidden = _flags_of(words)
        door = Door(name, tuple(steps), timeout, required, forbidden, target)
        self._doors.append(door)
        sequence = ",".join(f"{s.port}:{s.protocol.name.lower()}" for s in steps)
        lines = [f"[{name}]", f"sequence = {sequence}", f"seq_timeout = {timeout}"]
        lines += [f"tcpflags = {','.join(part)}" for part in self._split(words)]
        lines += [f"target = {target}"] if target else []
        return Section(door, "\n".join(lines) + "\n")

    def _flag_words(self) -> list[str]:
        """What ``TCPFlags`` says; where it says two things of a flag the later one holds."""
        kind = self._random.random()
        if kind < 0.3:
            return []
        if kind < 0.5:
            return ["syn"]
        names = [flag.lower() for flag in Flags.__members__]
        words = [self._random.choice(("", name, f"!{name}")) for name in names]
        words += [self._random.choice(names)] if self.chance(0.2) else []
        self._random.shuffle(words)
        return [word for word in words if word]

    def _split(self, words: list[str]) -> list[list[str]]:
        middle = self._random.randint(0, len(words))
        return [part for part in (words[:middle], words[middle:]) if part]

    def _visit(self) -> list[Sent]:
        """Someone knocks at a door: rightly at first, then twisted in up to three ways."""
        door = self._random.choice(self._doors)
        source = self._random.choice(self._clients)
        if door.target is not None and (":" in door.target) != (":" in source):
            source = CLIENTS_6[0] if ":" in door.target else CLIENTS_4[0]
        same_family = [own for own in self._own if (":" in own) == (":" in source)]
        destination = door.target or self._random.choice(same_family)
        time = 1000 + self.one_of(0, 1, 5, 20, 60) + self._random.randrange(64) * TICK
        visit = []
        bare = self.chance(0.3)
        for _ in range(self.one_of(1, 1, 2)):
            for step in door.steps:
                knock = Knock(
                    *(source, destination, destination in self._own, step.protocol, step.port),
                    bare=bare,
                )
                visit.append(Sent(time, self._anew(knock, self._right_flags(door))))
                time += self.one_of(0, 1, 8, 16, 32, 64, 100) * TICK
        for _ in range(self.one_of(0, 0, 1, 1, 2, 3)):
            self._random.choice(TWISTS)(self, door, visit)
        return visit

    def _right_flags(self, door: Door) -> int:
        extra = self._random.randrange(256) if self.chance(0.1) else int(Flags.SYN)
        return int(door.required) | (extra & ~int(door.forbidden))

    def _anew(self, knock: Knock, flags: int) -> Knock:
        """``knock`` as a packet of a connection of its own."""
        source_port = 40_000 + self.one_of(0, 0, 1, 2)
        if knock.protocol is UDP:
            return replace(knock, source_port=source_port, flags=0, sequence_number=0)
        self._connections += 1
        return replace(
            knock, source_port=source_port, flags=flags, sequence_number=self._connections
        )

    def _place(self, visit: list[Sent]) -> int:
        return self._random.randrange(len(visit))

    def twice(self, door: Door, visit: list[Sent]) -> None:
        """One knock comes again, as a new connection; scanners number all theirs alike."""
        place = self._place(visit)
        knock = visit[place].knock
        again = self._anew(knock, int(knock.flags))
        if self.chance(0.3):
            again = replace(knock, source_port=knock.source_port + 10)
        visit.insert(place + 1, Sent(visit[place].time + self.one_of(0, 1, 64) * TICK, again))

    def retransmit(self, door: Door, visit: list[Sent]) -> None:
        """One packet comes again, the same in every bit."""
        first = visit[self._place(visit)]
        for _ in range(self.one_of(1, 1, 2, 3)):
            delay = self._random.choice((0, TICK, 1, 1, 3, 65 - TICK, 65))
            visit.append(Sent(first.time + delay, first.knock))

    def drop(self, door: Door, visit: list[Sent]) -> None:
        if len(visit) > 1:
            del visit[self._place(visit)]

    def swap(self, door: Door, visit: list[Sent]) -> None:
        one, other = self._place(visit), self._place(visit)
        first, second = visit[one], visit[other]
        visit[one] = replace(first, knock=second.knock)
        visit[other] = replace(second, knock=first.knock)

    def delay(self, door: Door, visit: list[Sent]) -> None:
        """One knock and all after it come about when the time is over."""
        place = self._place(visit)
        ticks = self.one_of(-64, -63, -32, -1, 0, 1, 32, 63, 64)
        late = visit[0].time + max(0.0, door.timeout) + ticks * TICK - visit[place].time
        for index in range(place, len(visit)):
            visit[index] = replace(visit[index], time=max(1000.0, visit[index].time + late))

    def other_flags(self, door: Door, visit: list[Sent]) -> None:
        place = self._place(visit)
        knock = visit[place].knock
        if knock.protocol is TCP:
            extra = replace(knock, flags=self._random.randrange(256))
            self._replace_or_insert(visit, place, extra)

    def other_port(self, door: Door, visit: list[Sent]) -> None:
        """A port of some door, or of none, besides or instead of the right one."""
        place = self._place(visit)
        knock = visit[place].knock
        step = self._random.choice([*self._random.choice(self._doors).steps, Step(22, TCP)])
        extra = replace(knock, port=step.port, protocol=step.protocol)
        self._replace_or_insert(visit, place, self._anew(extra, int(knock.flags) or Flags.SYN))

    def other_destination(self, door: Door, visit: list[Sent]) -> None:
        place = self._place(visit)
        knock = visit[place].knock
        choices = OWN_4 + FOREIGN_4 if ":" not in knock.source else OWN_6 + FOREIGN_6
        there = self._random.choice(choices)
        extra = replace(knock, destination=there, local=there in self._own)
        self._replace_or_insert(visit, place, extra)

    def _replace_or_insert(self, visit: list[Sent], place: int, knock: Knock) -> None:
        sent = Sent(visit[place].time, knock)
        if self.chance(0.5):
            visit[place] = sent
        else:
            visit.insert(place, sent)


TWISTS: tuple[Callable[[Maker, Door, list[Sent]], None], ...] = (
    Maker.twice,
    Maker.retransmit,
    Maker.drop,
    Maker.swap,
    Maker.delay,
    Maker.other_flags,
    Maker.other_port,
    Maker.other_destination,
)


def _flags_of(words: Sequence[str]) -> tuple[Flags, Flags]:
    """Required and forbidden; the last mention of a flag holds."""
    required = forbidden = Flags(0)
    for word in words:
        flag = Flags[word.removeprefix("!").upper()]
        required, forbidden = required & ~flag, forbidden & ~flag
        if word.startswith("!"):
            forbidden |= flag
        else:
            required |= flag
    return required, forbidden


# Telling what becomes of them.


@dataclass(frozen=True)
class Comparison:
    """One scenario, told by the real knockd, by the model and by pyknockd."""

    scenario: Scenario

    @cached_property
    def real(self) -> Story:
        link_type = RAW_IP if self.scenario.link is Link.IP else ETHERNET
        network = Network(self.scenario.own, link_type=link_type)
        outcome = run(self.scenario.config, self.scenario.frames(), network=network)
        if outcome.stderr == HEARS_NOTHING:
            return []
        if outcome.stderr.replace(NO_IPV6, "") or outcome.status or not outcome.listened:
            return [(-1, f"status {outcome.status}: {outcome.stderr}")]
        return [
            (e.packet, e.text) for e in outcome.entries if e.packet >= 0 and e.kind is Kind.STDOUT
        ]

    def modelled(self, faults: Fault) -> Story:
        doors = [section.door for section in self.scenario.sections]
        model = Model(doors, self.scenario.link, self.scenario.own, faults)
        return [
            (index, line)
            for index, sent in enumerate(self.scenario.sent)
            for line in model.feed(sent.knock, sent.time)
        ]

    @cached_property
    def ours(self) -> Story:
        """Timeouts are told at the next heard packet, as knockd does, and not when they happen."""
        reading = parse(self.scenario.config)
        if reading.mistakes:
            return [(-1, str(reading.mistakes))]
        sequences, ingress = Sequences(reading.config.doors), self._ingress()
        kernel = Kernel(Filter(sequences.listens()).program(ingress.own, ingress.link))
        story: Story = []
        timeouts: list[str] = []
        for index, packet in enumerate(self.scenario.frames()):
            while (deadline := sequences.next_deadline()) is not None and deadline <= packet.time:
                over = sequences.expire(deadline)
                if not over:
                    return [(-1, f"nothing is over at the deadline {deadline}")]
                timeouts += [line for event in over for line in _told(event)]
            passed = kernel.passes(packet.frame)
            knock = knock_of(Frame(packet.frame, ingress, packet.time)) if passed else None
            if knock is None or not sequences.hearing(knock):
                continue
            lines = [line for event in sequences.feed(knock) for line in _told(event)]
            story += [(index, line) for line in (*timeouts, *lines)]
            timeouts.clear()
        kernel.close()
        return story

    def _ingress(self) -> Ingress:
        own = {ip_address(text).packed: text for text in self.scenario.own}
        return Ingress("eth0", self.scenario.link, own, no_peers_on_wire(own))

    @property
    def complaint(self) -> str:
        """Which rule is broken; empty if all is explained."""
        if self.modelled(Fault.ALL) != self.real:
            return "the model with every fault does not do as the real knockd"
        knockds = self.modelled(Fault.ONE_AT_A_TIME)
        if not self.scenario.repeats and not _opens_no_later(self.ours, knockds):
            return "the rule of one attempt at a time opens what pyknockd does not"
        if _timeouts_sorted(self.modelled(Fault.NONE)) != _timeouts_sorted(self.ours):
            return "the model without a fault does not do as pyknockd"
        return ""

    def fewest_faults(self, view: Callable[[Story], Story]) -> Fault:
        """With these the model does as the real knockd, as far as ``view`` shows it."""
        for size in range(len(FAULTS) + 1):
            for some in combinations(FAULTS, size):
                faults = Fault(sum(fault.value for fault in some))
                if view(self.modelled(faults)) == view(self.real):
                    return faults
        raise AssertionError(self.complaint)

    def __str__(self) -> str:
        lines = [f"{self.complaint or 'all is explained'}", f"own: {self.scenario.own}"]
        lines += [f"link: {self.scenario.link.value}", self.scenario.config]
        stories = {
            "real": self.real,
            "model, all faults": self.modelled(Fault.ALL),
            "model, no fault": self.modelled(Fault.NONE),
            "pyknockd": self.ours,
        }
        lines += [f"{name}: {story}" for name, story in stories.items() if (-1) in dict(story)]
        for index, sent in enumerate(self.scenario.sent):
            lines.append(f"{index}: {_shown(sent)}")
            for name, story in stories.items():
                told = [line for packet, line in story if packet == index]
                lines += [f"      {name}: {line}" for line in told]
        return "\n".join(lines)


FAULTS = (
    *(Fault.FORGETTING, Fault.WHOLE_SECONDS, Fault.RETRANSMISSION, Fault.DEAFNESS),
    Fault.ONE_AT_A_TIME,
)


def _shown(sent: Sent) -> str:
    knock = sent.knock
    what = f"{knock.port}/{knock.protocol.name.lower()} from port {knock.source_port}"
    flags = f" flags {int(knock.flags):#04x} sequence number {knock.sequence_number}"
    route = f"{knock.source} -> {knock.destination}"
    return f"at {sent.time} {route} {what}{flags if knock.protocol is TCP else ''}"


def _told(event: AttemptEvent) -> list[str]:
    """knockd's line for ``event``, if it has one."""
    if isinstance(event, (StageReached, AttemptEnded)) and event.quiet:
        return []
    if isinstance(event, StageReached):
        what = f"Stage {event.stage}"
    elif isinstance(event, Opened):
        what = "OPEN SESAME"
    elif isinstance(event, AttemptEnded) and event.cause is EndCause.TOO_LATE:
        what = f"sequence timeout (stage {event.stage})"
    else:
        return []
    return [f"{event.source}: {event.door.name}: {what}"]


def _is_timeout(line: str) -> bool:
    return ": sequence timeout (" in line


def _timeouts_sorted(story: Story) -> Story:
    """At one packet timeouts come first, in whatever order."""
    timeouts = sorted(entry for entry in story if _is_timeout(entry[1]))
    others = [entry for entry in story if not _is_timeout(entry[1])]
    return sorted(timeouts + others, key=lambda entry: entry[0])


def _openings(story: Story) -> Story:
    return [entry for entry in story if entry[1].endswith(": OPEN SESAME")]


def _opens_no_later(story: Story, other: Story) -> bool:
    """Whether each door has opened to each source as often by any packet as in ``other``."""
    for index, line in _openings(other):
        until = [sum(told == line and at <= index for at, told in s) for s in (story, other)]
        if until[0] < until[1]:
            return False
    return True


def _progress(story: Story) -> Story:
    return [entry for entry in story if not _is_timeout(entry[1])]


def shrunk(scenario: Scenario) -> Scenario:
    """The same complaint with as few packets and doors as leaving one out at a time leads to."""
    complaint = Comparison(scenario).complaint
    smaller: Scenario | None = scenario
    while smaller is not None:
        scenario = smaller
        smaller = next(
            (s for s in _smaller(scenario) if Comparison(s).complaint == complaint), None
        )
    return scenario


def _smaller(scenario: Scenario) -> list[Scenario]:
    sections, sent = scenario.sections, scenario.sent
    fewer_doors = [(*sections[:i], *sections[i + 1 :]) for i in range(len(sections))]
    fewer_packets = [(*sent[:i], *sent[i + 1 :]) for i in range(len(sent))]
    return [
        *(replace(scenario, sections=fewer) for fewer in fewer_doors if fewer),
        *(replace(scenario, sent=fewer) for fewer in fewer_packets),
    ]


def _report(title: str, kinds: Counter[Fault]) -> str:
    alone = {fault: kinds.pop(fault, 0) for fault in FAULTS}
    same = kinds.pop(Fault.NONE, 0)
    parts = [f"{same} same", *(f"{n} only {str(f.name).lower()}" for f, n in alone.items())]
    return f"{title}: {', '.join(parts)}, {kinds.total()} several"


@contextmanager
def replayable(seed: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        print(f"PYKNOCKD_SEED={seed} PYKNOCKD_SCENARIOS=1 replays it")
        raise


def test_every_difference_from_knockd_is_one_of_its_known_faults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    openings: Counter[Fault] = Counter()
    lines: Counter[Fault] = Counter()
    opened = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SCENARIOS):
        with replayable(seed):
            comparison = Comparison(Maker(seed).scenario())
            if comparison.complaint:
                pytest.fail(str(Comparison(shrunk(comparison.scenario))), pytrace=False)
            openings[comparison.fewest_faults(_openings)] += 1
            lines[comparison.fewest_faults(_progress)] += 1
            opened += len(_openings(comparison.ours))
    summary = [
        f"\n{SCENARIOS} scenarios against the real knockd, seeds from {FIRST_SEED}:",
        f"{opened} openings; they differ by",
        _report("  openings", openings),
        _report("  openings and stages", lines),
    ]
    with capsys.disabled():
        # pytest-xdist shows what its workers say on stderr only.
        print("\n".join(summary), file=sys.stderr)
    assert opened
