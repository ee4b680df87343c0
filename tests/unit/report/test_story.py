"""Stories of sources: their order, what is left out, and how much is kept."""

from __future__ import annotations

from pyknockd.model import Change, ChangeKind, Door, Knock, Protocol, Step
from pyknockd.model.events import (
    AttemptEnded,
    Closed,
    ClosedCause,
    CommandStarted,
    EndCause,
    FirstKnocksLeftOut,
    NotHeard,
    NotHeardCause,
    Opened,
    StageReached,
    Stopping,
)
from pyknockd.report.story import MOST_FIRST, MOST_LAST, MOST_SOURCES, Kind, Story, Told

ME, OTHER = "10.0.0.7", "10.0.0.8"
DOOR = Door("ssh", (Step(7000, Protocol.TCP), Step(8000, Protocol.TCP)))


def stage(time: float, source: str = ME, number: int = 1, *, quiet: bool = False) -> StageReached:
    return StageReached(time, source, DOOR, number, quiet)


def lines(story: Story) -> list[Told]:
    return list(story.lines(lambda seconds: f"{seconds:g}"))


def texts(story: Story) -> list[str]:
    return [line.text for line in lines(story)]


def test_each_source_has_its_events_below_it_and_who_began_first_comes_first() -> None:
    story = Story()
    story.take(stage(1.0, OTHER))
    story.take(stage(2.0))
    story.take(stage(3.0, number=2))
    story.take(Opened(3.0, ME, DOOR))
    story.take(AttemptEnded(6.0, OTHER, DOOR, 1, EndCause.CAPTURE_ENDED))
    assert lines(story) == [
        Told(Kind.SOURCE, OTHER),
        Told(Kind.HEARD, "  1  ssh: stage 1 of 2: 7000"),
        Told(Kind.ENDED, "  6  ssh: ended at stage 1: 8000 had not come when the capture ended"),
        Told(Kind.SOURCE, ME),
        Told(Kind.HEARD, "  2  ssh: stage 1 of 2: 7000"),
        Told(Kind.HEARD, "  3  ssh: stage 2 of 2: 8000"),
        Told(Kind.OPENED, "  3  ssh: the sequence is complete: the door opens"),
    ]
    assert story.openings == 1


def test_what_is_no_part_of_a_story_is_left_out() -> None:
    story = Story()
    story.take(stage(1.0, quiet=True))
    story.take(AttemptEnded(1.0, ME, DOOR, 1, EndCause.TOO_LATE, quiet=True))
    story.take(Stopping(1.0))
    assert lines(story) == []
    story.take(CommandStarted(2.0, Change(1, ChangeKind.CLOSE, "ssh", ME, "close"), rehearsed=True))
    story.take(Closed(2.0, 1, "ssh", ME, ClosedCause.TIME))
    assert texts(story) == [ME, "  2  ssh: would have run: close"]


def test_what_is_the_same_is_said_once_and_counted() -> None:
    story = Story()
    knock = Knock(ME, "10.0.0.1", True, Protocol.TCP, 8000)
    for time in (1.0, 2.0, 3.0):
        story.take(NotHeard(time, knock, DOOR, NotHeardCause.NO_ATTEMPT))
    assert len(texts(story)) == 2
    assert texts(story)[1].startswith("  1  ssh: 8000 came, but no attempt")
    assert texts(story)[1].endswith("(3 times)")


def test_of_a_source_its_first_events_and_its_last_are_kept() -> None:
    story = Story()
    for number in range(1000):
        story.take(stage(float(number), number=1 + number % 2))
    told = texts(story)
    assert len(told) == 2 + MOST_FIRST + MOST_LAST
    assert told[1].startswith("  0  ")
    assert told[1 + MOST_FIRST] == f"  … {1000 - MOST_FIRST - MOST_LAST:,} more, left out …"
    assert told[-1].startswith("  999  ")


def test_of_many_sources_those_that_came_furthest_are_kept() -> None:
    story = Story()
    story.take(stage(0.0))
    story.take(stage(1.0, number=2))
    for number in range(2 * MOST_SOURCES):
        story.take(stage(2.0, f"10.1.{number // 250}.{number % 250}"))
    assert len(story) == MOST_SOURCES
    told = texts(story)
    assert told[0] == ME
    assert "10.1.0.0" not in told
    assert told[-1] == (
        f"and others: of so many sources {MOST_SOURCES:,} are told of, those that came furthest"
    )


def test_what_a_flood_has_left_out_is_counted() -> None:
    story = Story()
    for count in (1_000, 500):
        story.take(FirstKnocksLeftOut(1.0, count))
    (line,) = texts(story)
    assert line.startswith("1,500 first knocks came in a flood")
