"""What can be asked, and each argument wrong in each way."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.control.answers import Interface, Status, Visit
from pyknockd.control.handlers import MOST_ROWS, MOST_SECONDS, Handlers
from pyknockd.control.protocol import Refusal, Request
from pyknockd.control.watchers import Stream
from pyknockd.model import Past, Question
from tests.support.desk import NoDesk

ME = "192.0.2.7"
VISIT = Visit("ssh", ME, 1.0, None, "opened", None)
PAST = Past("ssh", ME, 1.0, None, "open", None, 0, None)
INTERFACES = (Interface("eth0", "come"),)
STATUS = Status("1", 1.0, "0 doors open", INTERFACES, (), 0, 0, 0, 0, "/etc/knockd.conf", ())


class Noting(NoDesk):
    """Writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def status(self, answer: Callable[[Status], None]) -> None:
        answer(STATUS)

    def visits(self) -> list[Visit]:
        return [VISIT]

    def history(self, question: Question, answer: Callable[[list[Past] | Refusal], None]) -> None:
        self.asked.append(question)
        answer([PAST] if question.door != "broken" else Refusal("no"))

    def open(
        self, door: str, source: str, who: str, answer: Callable[[Visit | Refusal | None], None]
    ) -> None:
        self.asked.append((door, source, who))
        answer({"ssh": VISIT, "slow": None}.get(door, Refusal("no")))

    def close(self, door: str | None, source: str, who: str) -> list[Visit]:
        self.asked.append((door, source, who))
        return [VISIT]

    def extend(self, door: str, source: str, seconds: float, who: str) -> Visit:
        self.asked.append((door, source, seconds, who))
        return VISIT

    def reload(self) -> tuple[str, ...]:
        return ("a mistake",)

    def metrics(self) -> str:
        return "# EOF\n"

    def why(self, source: str | None) -> list[dict[str, object]]:
        return [{"event": "stage", "source": source}]

    def watch(self, source: str | None, stream: Stream) -> None:
        self.asked.append(source)
        assert not stream({"event": "stage"})


def nobody(value: object) -> bool:
    """Who has gone already."""
    return False


def test_who_watches_is_answered_first_and_is_heard_of_by_the_desk() -> None:
    desk = Noting()
    assert ask("watch", desk) == {"watching": None}
    assert ask("watch", desk, source="2001:DB8::0:1") == {"watching": "2001:db8::1"}
    assert desk.asked == [None, "2001:db8::1"]
    with pytest.raises(Refusal):
        ask("watch", desk, source="home")


def test_why_is_asked_of_one_source_or_of_all() -> None:
    assert ask("why") == [{"event": "stage", "source": None}]
    assert ask("why", source="192.0.2.7") == [{"event": "stage", "source": "192.0.2.7"}]


def ask(do: str, desk: Noting | None = None, **arguments: object) -> object:
    """The answer, as it goes over the wire."""
    answers: list[object] = []
    Handlers(desk or Noting()).handle(Request(do, arguments), answers.append, nobody)
    (found,) = answers
    return found if isinstance(found, Refusal) else json.loads(json.dumps(found))


def test_everything_is_answered_with_what_json_knows() -> None:
    visit = json.loads(json.dumps(ask("doors")))
    assert visit[0]["door"] == "ssh"
    assert ask("status")["interfaces"] == [{"name": "eth0", "state": "come", "text": ""}]  # type: ignore[index]
    assert ask("history")[0]["state"] == "open"  # type: ignore[index]
    assert ask("open", door="ssh", source=ME) == visit[0]
    assert ask("open", door="slow", source=ME) is None
    assert ask("close", source=ME) == visit
    assert ask("extend", door="ssh", source=ME, seconds=60) == visit[0]
    assert ask("reload") == ["a mistake"]
    assert ask("metrics") == "# EOF\n"


def test_what_is_asked_for_arrives() -> None:
    desk = Noting()
    ask("open", desk, door="ssh", source=ME, who="alice")
    ask("close", desk, source=ME, who="bob")
    ask("close", desk, source=ME, door="ssh")
    ask("extend", desk, door="ssh", source=ME, seconds=1.5)
    ask("history", desk)
    ask("history", desk, door="ssh", source=ME, since=5, most=3)
    assert desk.asked == [
        ("ssh", ME, "alice"),
        (None, ME, "bob"),
        ("ssh", ME, "root"),
        ("ssh", ME, 1.5, "root"),
        Question(None, None, None, MOST_ROWS),
        Question(ME, "ssh", 5.0, 3),
    ]


def test_what_nobody_knows_is_refused_with_what_there_is() -> None:
    with pytest.raises(Refusal) as caught:
        ask("explode")
    text = "status, doors, history, open, close, extend, reload, metrics, why, watch"
    assert str(caught.value) == f"nothing is called explode; there are: {text}"


def test_a_refusal_that_comes_later_is_handed_on() -> None:
    assert str(ask("history", door="broken")) == "no"
    assert str(ask("open", door="broken", source=ME)) == "no"


BAD_TEXT: list[object] = [7, True, [], {}, "\ud800", ""]
BAD_SOURCE: list[object] = [
    *BAD_TEXT,
    "ssh",
    "192.0.2",
    "192.0.2.256",
    "192.0.2.7/32",
    "fe80::1%eth0",
    ME + "\n",
]
BAD_SECONDS: list[object] = [
    "60",
    True,
    [],
    0,
    -1,
    float("nan"),
    float("inf"),
    MOST_SECONDS + 1,
]
WRONG: list[tuple[str, dict[str, object]]] = [
    *(("open", {"source": ME, "door": bad}) for bad in [*BAD_TEXT, None]),
    *(("open", {"door": "ssh", "source": bad}) for bad in [*BAD_SOURCE, None]),
    *(("open", {"door": "ssh", "source": ME, "who": bad}) for bad in BAD_TEXT[:5]),
    *(("close", {"source": ME, "door": bad}) for bad in BAD_TEXT),
    *(("close", {"source": bad}) for bad in [*BAD_SOURCE, None]),
    *(("extend", {"door": "ssh", "source": ME, "seconds": bad}) for bad in [*BAD_SECONDS, None]),
    *(("extend", {"source": ME, "seconds": 1, "door": bad}) for bad in [*BAD_TEXT, None]),
    *(("extend", {"door": "ssh", "seconds": 1, "source": bad}) for bad in [*BAD_SOURCE, None]),
    *(("history", {"door": bad}) for bad in BAD_TEXT),
    *(("history", {"source": bad}) for bad in BAD_SOURCE),
    *(("history", {"since": bad}) for bad in BAD_SECONDS),
    *(("history", {"most": bad}) for bad in BAD_SECONDS),
]


@pytest.mark.parametrize(("do", "arguments"), WRONG)
def test_what_is_wrong_is_refused_and_nothing_done(do: str, arguments: dict[str, object]) -> None:
    desk = Noting()
    with pytest.raises(Refusal):
        ask(do, desk, **arguments)
    assert desk.asked == []


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
NAMES = st.sampled_from(["door", "source", "since", "most", "seconds", "who"])


@given(
    st.sampled_from(["status", "doors", "history", "open", "close", "extend"]),
    st.dictionaries(NAMES, ANYTHING),
)
def test_whatever_is_sent_is_answered_or_refused(do: str, arguments: dict[str, object]) -> None:
    with suppress(Refusal):
        ask(do, None, **arguments)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2001:DB8:0::7", "2001:db8::7"), ("::ffff:192.0.2.7", ME), ("fe80::1", "fe80::1")],
)
def test_an_address_has_one_form(written: str, meant: str) -> None:
    desk = Noting()
    ask("close", desk, source=written)
    assert desk.asked == [(None, meant, "root")]


def test_more_rows_than_there_may_be_are_not_asked_for() -> None:
    desk = Noting()
    ask("history", desk, most=MOST_ROWS * 10)
    assert desk.asked == [Question(None, None, None, MOST_ROWS)]


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("alice", "alice"),
        ("a.b-c_d", "a.b-c_d"),
        ("bob\n192.0.2.1: OPEN SESAME\x1b[2J", "bob192.0.2.1OPENSESAME2J"),
        ("x" * 1000, "x" * 64),
        ("\n\n", "root"),
    ],
)
def test_a_name_stands_in_the_log_as_one_word(said: str, logged: str) -> None:
    desk = Noting()
    ask("close", desk, source=ME, who=said)
    assert desk.asked == [(None, ME, logged)]
