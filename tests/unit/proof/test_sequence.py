"""The rules of a knock, on the pure machine: time is an argument, no packet is sent."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from random import Random

import pytest

from pyknockd.capture.decode import knock_of
from pyknockd.config.knockd_conf import parse
from pyknockd.model import Door, Event, EventKind, Flags, Knock, Link, Protocol, Step
from pyknockd.proof.sequence import IDLE_SOURCES, RETRANSMISSION_SECONDS, Machine
from tests.support.packets import GOOD, OWN

TCP, UDP = Protocol.TCP, Protocol.UDP
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.200"
_sequence_numbers: Iterator[int] = count(1)


def door(
    *ports: int | Step,
    name: str = "ssh",
    timeout: float = 5,
    flags: tuple[Flags, Flags] = (Flags(0), Flags(0)),
    target: str | None = None,
) -> Door:
    steps = tuple(port if isinstance(port, Step) else Step(port, TCP) for port in ports)
    required, forbidden = flags
    return Door(name, steps, timeout=timeout, required=required, forbidden=forbidden, target=target)


def knock(
    port: int,
    source: str = "198.51.100.1",
    *,
    protocol: Protocol = TCP,
    flags: Flags = Flags.SYN,
    to: str = HERE,
    sequence_number: int | None = None,
) -> Knock:
    number = next(_sequence_numbers) if sequence_number is None else sequence_number
    flags_heard = int(flags) if protocol is TCP else 0
    return Knock(source, to, to == HERE, protocol, port, 40_000, flags_heard, number)


def story(events: list[Event] | tuple[Event, ...]) -> list[str]:
    return [f"{event.door.name} {event.kind.value} {event.stage}" for event in events]


def play(machine: Machine, *knocks: Knock, now: float = 0.0) -> list[str]:
    return story([event for one in knocks for event in machine.feed(one, now)])


OPENED = ["ssh stage 1", "ssh stage 2", "ssh stage 3", "ssh opened 3"]


def test_the_right_knocks_open_the_door() -> None:
    machine = Machine([door(7000, 8000, 9000)])
    assert play(machine, knock(7000), knock(8000), knock(9000)) == OPENED
    assert len(machine) == 0


def test_a_door_with_one_step_opens_at_once() -> None:
    machine = Machine([door(7000)])
    assert play(machine, knock(7000), knock(7000)) == ["ssh stage 1", "ssh opened 1"] * 2


def test_a_wrong_port_ends_the_attempt_silently() -> None:
    machine = Machine([door(7000, 8000, 9000)])
    assert play(machine, knock(7000), knock(9000)) == ["ssh stage 1"]
    assert len(machine) == 0


def test_the_knock_that_ends_an_attempt_begins_none() -> None:
    machine = Machine([door(7000, 8000, 9000)])
    play(machine, knock(7000), knock(7000))
    assert len(machine) == 0


def test_what_no_door_hears_does_not_exist() -> None:
    machine = Machine([door(7000, 8000, flags=(Flags.SYN, Flags.ACK))])
    events = play(
        machine,
        knock(7000),
        knock(1234),
        knock(8000, protocol=UDP),
        knock(7000, flags=Flags.ACK),
        knock(7000, to=ELSEWHERE),
        knock(8000),
    )
    assert events == ["ssh stage 1", "ssh stage 2", "ssh opened 2"]


def test_a_port_of_another_door_spoils_the_attempt() -> None:
    machine = Machine([door(7000, 8000), door(5000, 6000, name="other")])
    assert play(machine, knock(7000), knock(6000), knock(8000)) == ["ssh stage 1"]


def test_sources_never_affect_each_other() -> None:
    machine = Machine([door(7000, 8000, 9000)])
    sources = [f"198.51.100.{n}" for n in range(200)]
    events = play(machine, *(knock(port, s) for port in (7000, 8000, 9000) for s in sources))
    assert events.count("ssh opened 3") == 200


def test_an_end_of_one_attempt_leaves_all_others() -> None:
    machine = Machine([door(7000, 8000, 9000)])
    play(machine, knock(7000, "198.51.100.1"), knock(7000, "198.51.100.2"))
    play(machine, knock(9000, "198.51.100.1"))
    events = play(machine, knock(8000, "198.51.100.2"), knock(9000, "198.51.100.2"))
    assert events == OPENED[1:]


def test_doors_that_share_a_beginning_advance_together() -> None:
    machine = Machine([door(7000, 8000, name="a"), door(7000, 8000, 9000, name="b")])
    events = play(machine, knock(7000), knock(8000), knock(9000))
    assert events == [
        *("a stage 1", "b stage 1", "a stage 2", "a opened 2", "b stage 2"),
        *("b stage 3", "b opened 3"),
    ]


def test_a_sequence_may_name_a_port_twice() -> None:
    machine = Machine([door(7000, 7000, 8000)])
    assert play(machine, knock(7000), knock(7000), knock(8000)) == OPENED


def test_tcp_and_udp_are_different_steps() -> None:
    machine = Machine([door(7000, Step(8000, UDP), 9000)])
    wrong = play(machine, knock(7000), knock(8000))
    right = play(machine, knock(8000, protocol=UDP), knock(9000))
    assert wrong + right == OPENED


def test_flags_of_another_kind_do_not_touch_an_attempt() -> None:
    syn, fin = (Flags.SYN, Flags(0)), (Flags.FIN, Flags(0))
    machine = Machine([door(7000, 8000, flags=syn), door(8000, 9000, name="fin", flags=fin)])
    events = play(machine, knock(7000), knock(8000, flags=Flags.FIN), knock(8000))
    assert events == ["ssh stage 1", "ssh stage 2", "ssh opened 2"]


def test_forbidden_flags_keep_a_packet_out() -> None:
    machine = Machine([door(7000, flags=(Flags.SYN, Flags.ACK))])
    assert play(machine, knock(7000, flags=Flags.SYN | Flags.ACK)) == []
    assert play(machine, knock(7000, flags=Flags.SYN | Flags.URG)) != []


def test_udp_steps_ignore_flags() -> None:
    machine = Machine([door(Step(7000, UDP), 8000, flags=(Flags.SYN, Flags.ACK))])
    assert play(machine, knock(7000, protocol=UDP), knock(8000))[-1] == "ssh opened 2"


def test_a_target_hears_its_own_address_and_no_other() -> None:
    machine = Machine([door(7000, target=ELSEWHERE), door(7000, name="here")])
    assert play(machine, knock(7000, to=ELSEWHERE)) == ["ssh stage 1", "ssh opened 1"]
    assert play(machine, knock(7000)) == ["here stage 1", "here opened 1"]


def test_a_knock_elsewhere_leaves_attempts_at_other_targets_alone() -> None:
    machine = Machine([door(7000, 8000), door(7000, 9000, name="there", target=ELSEWHERE)])
    events = play(machine, knock(7000), knock(7000, to=ELSEWHERE), knock(8000))
    assert events == ["ssh stage 1", "there stage 1", "ssh stage 2", "ssh opened 2"]


@pytest.mark.parametrize(("age", "opens"), [(4.999, True), (5.0, False), (5.5, False)])
def test_the_timeout_runs_exactly_from_the_first_knock(age: float, opens: bool) -> None:
    machine = Machine([door(7000, 8000)])
    machine.feed(knock(7000), 100.0)
    assert ("ssh opened 2" in story(machine.feed(knock(8000), 100.0 + age))) is opens


def test_a_knock_after_the_timeout_is_looked_at_afresh() -> None:
    machine = Machine([door(7000, 8000)])
    machine.feed(knock(7000), 0)
    assert story(machine.feed(knock(7000), 6)) == ["ssh timed out 1", "ssh stage 1"]


def test_a_timeout_needs_no_packet_to_be_told() -> None:
    machine = Machine([door(7000, 8000, timeout=5), door(7001, 8001, name="slow", timeout=9)])
    machine.feed(knock(7001), 0)
    machine.feed(knock(7000, "198.51.100.7"), 1)
    assert machine.next_deadline() == 6
    assert machine.expire(5.9) == []
    assert story(machine.expire(6)) == ["ssh timed out 1"]
    assert machine.next_deadline() == 9
    assert story(machine.expire(100)) == ["slow timed out 1"]
    assert machine.next_deadline() is None


def test_timeouts_are_told_in_the_order_of_their_deadlines() -> None:
    machine = Machine([door(7000, 8000, timeout=9), door(7001, 8001, name="quick", timeout=2)])
    machine.feed(knock(7000), 0)
    machine.feed(knock(7001, "198.51.100.7"), 1)
    assert story(machine.expire(50)) == ["quick timed out 1", "ssh timed out 1"]


def test_a_retransmission_passes_without_effect() -> None:
    machine = Machine([door(7000, 8000, 9000)])
    first, second = knock(7000), knock(8000)
    events = play(machine, first, first, second, first, second, knock(9000))
    assert events == OPENED


def test_a_retransmission_after_the_end_begins_nothing() -> None:
    machine = Machine([door(7000, 8000), door(8000, 7000, name="close")])
    last = knock(8000)
    play(machine, knock(7000), last)
    assert story(machine.feed(last, 1.0)) == []
    assert story(machine.feed(last, 3.0)) == []


def test_a_new_connection_to_the_same_port_is_a_knock() -> None:
    machine = Machine([door(7000, 8000)])
    play(machine, knock(7000), knock(7000))
    assert len(machine) == 0


def test_a_retransmission_is_not_remembered_for_ever() -> None:
    machine = Machine([door(7000, timeout=1)])
    one = knock(7000)
    assert machine.feed(one, 0)
    assert not machine.feed(one, RETRANSMISSION_SECONDS - 1)
    assert machine.feed(one, RETRANSMISSION_SECONDS)


def test_two_datagrams_are_two_knocks() -> None:
    machine = Machine([door(Step(7000, UDP), Step(7000, UDP))])
    one = knock(7000, protocol=UDP, sequence_number=0)
    assert play(machine, one, one)[-1] == "ssh opened 2"


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def test_the_oldest_attempt_at_stage_one_makes_room() -> None:
    machine = Machine([door(7000, 8000, 9000)], limit=100)
    far = address(1)
    play(machine, knock(7000, far), knock(8000, far))
    for number in range(2, 1000):
        machine.feed(knock(7000, address(number)), 0)
    assert len(machine) == 100
    assert play(machine, knock(8000, address(999))) == ["ssh stage 2"]
    assert play(machine, knock(8000, address(900))) == []
    assert play(machine, knock(9000, far)) == ["ssh stage 3", "ssh opened 3"]


def test_a_newcomer_is_turned_away_rather_than_one_who_is_further_on() -> None:
    machine = Machine([door(7000, 8000, 9000)], limit=3)
    for number in range(3):
        play(machine, knock(7000, address(number)), knock(8000, address(number)))
    assert play(machine, knock(7000, address(9))) == []
    assert play(machine, knock(9000, address(0)))[-1] == "ssh opened 3"
    assert play(machine, knock(7000, address(9))) == ["ssh stage 1"]


def test_memory_is_bounded_whatever_comes() -> None:
    machine = Machine([door(7000, 8000), door(9000, name="single")], limit=50)
    for number in range(IDLE_SOURCES * 2):
        machine.feed(knock(9000, address(number)), number / 1000)
        machine.feed(knock(7000, address(number)), number / 1000)
    assert len(machine) <= 50
    assert len(machine._sources) <= 50 + IDLE_SOURCES


def test_one_source_is_remembered_within_bounds() -> None:
    machine = Machine([door(7000, 8000)])
    for _ in range(10_000):
        machine.feed(knock(7000), 0)
    (source,) = machine._sources.values()
    assert len(source.syns) <= 64
    assert len(source.attempts) <= 1


def test_sources_are_forgotten_in_the_end() -> None:
    machine = Machine([door(7000)])
    machine.feed(knock(7000, address(1)), 0)
    machine.feed(knock(7000, address(2)), RETRANSMISSION_SECONDS + 1)
    assert list(machine._sources) == [address(2)]


def test_a_replaced_door_forgets_attempts_and_hears_its_new_steps() -> None:
    old, new = door(1, 2, name="d"), door(3, 4, name="d")
    machine = Machine([old, door(1, 5, name="e")])
    play(machine, knock(1))
    machine.replace(old, new)
    assert play(machine, knock(2)) == []
    assert play(machine, knock(5)) == ["e stage 2", "e opened 2"]
    assert play(machine, knock(3), knock(4))[-1] == "d opened 2"


def test_a_replaced_door_leaves_no_source_behind() -> None:
    old, other = door(7000, 8000), door(7001, 8001, name="other")
    machine = Machine([old, other])
    play(machine, knock(7000, address(1)), knock(7001, address(2)))
    machine.replace(old, door(9000, 8000))
    assert list(machine._sources) == [address(2)]
    assert play(machine, knock(8000, address(1)), knock(8001, address(2)))[-1] == "other opened 2"


def test_a_knock_that_begins_at_two_doors_needs_room_for_two() -> None:
    machine = Machine([door(7000, 8000), door(7000, 9000, name="other")], limit=1)
    assert play(machine, knock(7000)) == ["ssh stage 1", "other stage 1"]
    assert play(machine, knock(9000)) == ["other stage 2", "other opened 2"]
    assert len(machine) == 0


@pytest.mark.parametrize("seed", range(10))
def test_every_source_is_remembered_for_a_reason_whatever_comes(seed: int) -> None:
    random = Random(seed)
    doors = [door(7000, 8000, 9000), door(7000, 9000, name="b", timeout=2), door(9000, name="c")]
    doors.append(door(8000, 7000, name="there", timeout=9, target=ELSEWHERE))
    machine = Machine(doors, limit=4)
    now = 0.0
    for turn in range(500):
        now += random.random()
        port, to = random.choice((7000, 8000, 9000)), random.choice((HERE, ELSEWHERE))
        machine.feed(knock(port, address(random.randrange(9)), to=to), now)
        if random.random() < 0.05:
            changed = replace(doors[0], name=f"turn {turn}")
            machine.replace(doors[0], changed)
            doors[0] = changed
        under_way = [a for queue in machine._by_timeout.values() for a in queue]
        busy = {attempt.source.address for attempt in under_way}
        assert len(machine) == len(under_way) <= 4
        assert busy | set(machine._idle) == set(machine._sources)
        assert not busy & set(machine._idle)


def test_event_kinds_are_all_told() -> None:
    machine = Machine([door(7000, 8000)])
    play(machine, knock(7000), knock(8000))
    machine.feed(knock(7000), 0)
    assert {event.kind for event in machine.expire(9)} == {EventKind.TIMED_OUT}


FRAMES = int(os.environ.get("PYKNOCKD_FRAMES", "30000"))


def test_hostile_frames_leave_no_trace() -> None:
    """Mutated, cut and random frames on every kind of link, through the decoder and the machine."""
    reading = parse(
        "[d]\nsequence = 7000,7000,7001:udp\n[e]\nsequence = 7001:udp,9\ntarget = 192.0.2.9\n"
    )
    machine = Machine(reading.config.doors, limit=500)
    rng = random.Random(3)
    links = list(Link)
    peak = 0
    for number in range(FRAMES):
        frame = (
            bytearray(rng.choice(GOOD))
            if number % 8
            else bytearray(rng.randbytes(rng.randrange(90)))
        )
        for _ in range(rng.randrange(6)):
            if frame:
                frame[rng.randrange(len(frame))] = rng.randrange(256)
        frame = frame[: rng.randrange(len(frame) + 1)] if number % 3 == 0 else frame
        knock = knock_of(bytes(frame), links[number % len(links)], OWN)
        if knock is not None:
            machine.feed(knock, number / 1000)
        if number == FRAMES // 2:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(machine) <= 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 10 * 1024
