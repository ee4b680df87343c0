"""The log as a reader of events: what is left out, and what waits for a name."""

from __future__ import annotations

import pytest

from pyknockd.model import Change, ChangeKind, Door, Protocol, Step
from pyknockd.model.events import (
    AttemptEnded,
    CommandEnded,
    CommandOutput,
    CommandStarted,
    EndCause,
    FirstKnocksLeftOut,
    Opened,
    PacketsDropped,
    StageReached,
    Stopping,
)
from pyknockd.report import log as log_module
from pyknockd.report import reader
from pyknockd.report.hostnames import PATIENCE
from pyknockd.report.log import SYSLOG_RETRY_SECONDS, Log
from pyknockd.report.reader import Report

SSH = Door("ssh", (Step(7000, Protocol.TCP), Step(8000, Protocol.TCP)))
ME, YOU = "192.0.2.1", "192.0.2.2"


class Said:
    """What standard output has got since it was last asked."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self) -> list[str]:
        return self._capfd.readouterr().out.splitlines()


class Names:
    """Names that come when the test gives them."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked: set[str] = set()
        self.worked = 0.0
        self.deadline: float | None = None

    def label(self, address: str, now: float) -> str | None:
        self.asked.add(address)
        return self.known.get(address)

    def work(self, now: float) -> None:
        self.worked = now

    def next_deadline(self) -> float | None:
        return self.deadline


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    return Said(capfd)


@pytest.fixture
def report() -> Report:
    report = Report(Log(verbose=True))
    report.allow(3)
    return report


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names for the reports to come, whose clock stands at 100 seconds."""
    names = Names()
    monkeypatch.setattr(reader, "Names", lambda: names)
    monkeypatch.setattr(reader, "monotonic", lambda: 100.0)
    return names


def first(time: float, source: str = ME) -> StageReached:
    return StageReached(time, source, SSH, 1)


STAGE_1 = f"{ME}: ssh: Stage 1"


def left_out(count: int) -> str:
    return f"a flood of first knocks: {count} lines about them left out"


# --- the flood of first knocks ------------------------------------------------------------------


def test_a_line_is_said_at_once(report: Report, said: Said) -> None:
    report.take(first(0.5))
    assert said() == [STAGE_1]
    assert report.next_deadline(0.5) is None


def test_of_first_knocks_only_so_many_a_second_are_told(report: Report, said: Said) -> None:
    for _ in range(10):
        report.take(first(5.5))
    assert said() == [STAGE_1] * 3
    assert report.next_deadline(5.6) == 6.5
    report.flush(6.499)
    assert said() == []
    report.flush(6.5)
    assert said() == [left_out(7)]
    assert report.next_deadline(6.5) is None


def test_the_next_second_begins_with_what_the_last_left_out(report: Report, said: Said) -> None:
    for _ in range(5):
        report.take(first(5.5))
    report.take(first(6.5))
    assert said() == [STAGE_1] * 3 + [left_out(2), STAGE_1]


def test_a_first_knock_that_came_to_nothing_counts_as_one(report: Report, said: Said) -> None:
    for _ in range(5):
        report.take(AttemptEnded(5.5, ME, SSH, 1, EndCause.TOO_LATE))
    report.flush(7)
    assert said() == [f"{ME}: ssh: sequence timeout (stage 1)"] * 3 + [left_out(2)]


def test_what_has_no_line_takes_no_place_in_the_flood(report: Report, said: Said) -> None:
    for _ in range(5):
        report.take(AttemptEnded(5.5, ME, SSH, 1, EndCause.WRONG_PORT))
    report.take(first(5.5))
    report.flush(7)
    assert said() == [STAGE_1]


def test_everything_else_is_told_in_the_midst_of_a_flood(report: Report, said: Said) -> None:
    for _ in range(4):
        report.take(first(5.5))
    report.take(StageReached(5.6, YOU, SSH, 2))
    report.take(AttemptEnded(5.6, YOU, SSH, 2, EndCause.TOO_LATE))
    report.take(Opened(5.7, YOU, SSH))
    assert said()[3:] == [
        f"{YOU}: ssh: Stage 2",
        f"{YOU}: ssh: sequence timeout (stage 2)",
        f"{YOU}: ssh: OPEN SESAME",
    ]


def test_a_flood_of_each_kind_is_told_by_itself(report: Report, said: Said) -> None:
    """An opening is told though its knocks are not."""
    for stage in (1, 2, 3):
        for _ in range(4):
            report.take(StageReached(5.5, ME, SSH, stage))
    report.take(Opened(5.6, YOU, SSH))
    assert said() == [STAGE_1] * 3 + [f"{ME}: ssh: Stage 2"] * 3 + [f"{YOU}: ssh: OPEN SESAME"]
    report.flush(6.5)
    assert said() == [left_out(1), "a flood of further knocks: 5 lines about them left out"]


def test_of_one_who_knows_a_sequence_only_so_many_openings_are_told(
    report: Report, said: Said
) -> None:
    change = Change(1, ChangeKind.CLOSE, "ssh", ME, "true")
    for _ in range(1000):
        report.take(Opened(5.5, ME, SSH))
        report.take(CommandStarted(5.5, change))  # two lines
        report.take(CommandEnded(5.5, change, 1))
    assert len(said()) == 200
    report.flush(6.5)
    assert said() == ["a flood of openings and commands: 3800 lines about them left out"]


def test_what_a_command_printed_beyond_measure_is_counted(report: Report, said: Said) -> None:
    report.take(CommandOutput(5.5, "ssh", ("one", "two"), left_out=500))
    report.flush(6.5)
    assert said() == [
        *("ssh: one", "ssh: two"),
        "a flood of what commands print: 500 lines about them left out",
    ]


def test_first_knocks_that_were_put_aside_unread_are_counted_too(
    report: Report, said: Said
) -> None:
    report.take(FirstKnocksLeftOut(5.5, 1000))
    for _ in range(4):
        report.take(first(5.6))
    report.take(FirstKnocksLeftOut(5.7, 500))
    report.flush(6.5)
    assert said() == [STAGE_1] * 3 + [left_out(1501)]


def test_the_end_does_not_forget_what_was_left_out(
    report: Report, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "monotonic", lambda: 5.75)
    for _ in range(5):
        report.take(first(5.5))
    report.finish()
    assert said() == [STAGE_1] * 3 + [left_out(2)]


# --- the fence ----------------------------------------------------------------------------------

FENCE = '(commands run fenced in: knockd(1), "Where commands are fenced in")'
MAIL = Change(1, ChangeKind.OPEN, "ssh", ME, "mail me; true")
RULE = Change(1, ChangeKind.OPEN, "ssh", ME, "iptables -I", ("/sbin/iptables", "-I"))


def test_behind_the_first_program_that_fails_stands_that_it_is_fenced_in(said: Said) -> None:
    report = Report(Log(verbose=True), fenced=True)
    for _ in range(2):
        report.take(CommandEnded(1.0, MAIL, 0))
        report.take(CommandEnded(1.0, MAIL, 1))
    failed = "ssh: command returned non-zero status code (1)"
    assert said() == [failed, FENCE, failed]


@pytest.mark.parametrize(
    ("fenced", "event"),
    [
        (False, CommandEnded(1.0, MAIL, 1)),
        (True, CommandEnded(1.0, MAIL, 127)),
        (True, CommandEnded(1.0, MAIL, 126, problem="it is no program")),
        (True, CommandEnded(1.0, RULE, 2)),
    ],
)
def test_what_the_fence_does_not_bar_is_not_laid_to_it(
    said: Said, fenced: bool, event: CommandEnded
) -> None:
    report = Report(Log(verbose=True), fenced=fenced)
    report.take(event)
    assert FENCE not in said()


# --- names --------------------------------------------------------------------------------------


def test_a_line_waits_for_its_name_and_those_behind_it_for_the_line(
    names: Names, said: Said
) -> None:
    report = Report(Log(verbose=True), look_up=True)
    names.known[YOU] = f"{YOU} (you.example)"
    report.take(first(1.0))
    report.take(PacketsDropped(1.0, 7))
    report.take(first(1.0, YOU))
    assert said() == []
    assert names.asked == {ME, YOU}
    names.known[ME] = f"{ME} (me.example)"
    report.flush(100.5)
    assert said() == [
        f"{ME} (me.example): ssh: Stage 1",
        "packets came too fast: the kernel dropped 7",
        f"{YOU} (you.example): ssh: Stage 1",
    ]
    assert report.next_deadline(100.5) is None


def test_a_line_whose_name_does_not_come_goes_out_without(names: Names, said: Said) -> None:
    report = Report(Log(verbose=True), look_up=True)
    report.take(first(1.0))
    assert report.next_deadline(100.0) == 100 + PATIENCE
    report.flush(100 + PATIENCE - 0.001)
    assert said() == []
    report.flush(100 + PATIENCE)
    assert said() == [STAGE_1]


def test_a_deadline_that_was_missed_is_now(names: Names) -> None:
    report = Report(Log(), look_up=True)
    report.take(first(1.0))
    assert report.next_deadline(500.0) == 500.0


def test_only_so_many_lines_wait_for_names(
    names: Names, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MOST_WAITING", 2)
    report = Report(Log(verbose=True), look_up=True)
    for stage in (1, 2, 3, 4):
        report.take(StageReached(1.0, ME, SSH, stage))
    assert said() == [STAGE_1, f"{ME}: ssh: Stage 2"]


def test_at_the_end_nothing_waits_and_the_order_stays(names: Names, said: Said) -> None:
    report = Report(Log(verbose=True), look_up=True)
    report.allow(1)
    report.take(first(99.5))
    report.take(first(99.5))
    report.take(Stopping(99.6))
    report.finish()
    assert said() == [STAGE_1, "shutting down", left_out(1)]


def test_searches_are_looked_after_though_no_line_waits_for_them(names: Names) -> None:
    report = Report(Log(), look_up=True)
    names.deadline = 103.0
    assert report.next_deadline(100.0) == 103.0
    report.flush(103.0)
    assert names.worked == 103.0


# --- syslog that is away ------------------------------------------------------------------------


def test_while_syslog_is_away_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", "/nonexistent/log")
    log = Log()
    log.open(None, use_syslog=True)
    report = Report(log)
    assert report.next_deadline(5.0) is None
    report.take(first(5.0))
    report.flush(5.0)
    assert report.next_deadline(5.0) == 5.0 + SYSLOG_RETRY_SECONDS
