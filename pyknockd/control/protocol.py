"""The wire between knockctl and the daemon: one JSON object a line, each way.

A request says what is to be done, and with what::

    {"version": 1, "do": "doors"}
    {"version": 1, "do": "extend", "door": "openSSH", "source": "192.0.2.7", "seconds": 3600}

The answer is one line, whose ``result`` depends on what was asked, or says why not::

    {"version": 1, "ok": true, "result": {...}}
    {"version": 1, "ok": false, "error": "no door of that name: openShh"}

After ``watch`` an answer and then one line an event follow, until either side closes the connection.
Within a version, keys are added and never change their meaning: whoever reads ignores what it does
not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

VERSION = 1
MOST_REQUEST_BYTES = 4_096


class Refusal(Exception):
    """Why a request is not done, in words for whoever asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done, and with what."""

    do: str
    arguments: Mapping[str, object]


def request_of(line: bytes) -> Request:
    """The request in a line. Raises Refusal."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refusal("the request is not JSON") from error
    if not isinstance(read, dict) or not isinstance(read.get("do"), str):
        raise Refusal('expected a request like {"version": 1, "do": "status"}')
    if read.get("version") != VERSION:
        raise Refusal(f"this daemon speaks version {VERSION}: update knockctl, or restart knockd")
    arguments = {key: value for key, value in read.items() if key not in ("version", "do")}
    return Request(read["do"], arguments)


def request_line(request: Request) -> bytes:
    """The line of a request."""
    return _line({"version": VERSION, "do": request.do, **request.arguments})


def answer_line(result: object) -> bytes:
    """The line of a result, which is anything that JSON knows."""
    return _line({"version": VERSION, "ok": True, "result": result})


def event_line(value: object) -> bytes:
    """The line of something that has happened, for whoever watches."""
    return _line(value)


def refusal_line(text: str) -> bytes:
    """The line that says why not."""
    return _line({"version": VERSION, "ok": False, "error": text})


def result_of(line: bytes) -> object:
    """The result in an answer. Raises Refusal."""
    try:
        read = json.loads(line)
        if read["version"] == VERSION:
            if read["ok"]:
                return read["result"]
            raise Refusal(str(read["error"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refusal("the daemon's answer is not understood") from error
    raise Refusal("the daemon speaks another version: restart knockd")


def _line(value: object) -> bytes:
    # With the escapes of ASCII there is no line feed in it, whatever a text holds.
    return json.dumps(value).encode("ascii") + b"\n"
