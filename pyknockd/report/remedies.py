"""What to do about it: for each cause that keeps a door shut, a sentence for whoever knocks or guards."""

from __future__ import annotations

from pyknockd.model.events import (
    AttemptEnded,
    CommandEnded,
    EndCause,
    Event,
    NotHeard,
    NotHeardCause,
    RefusalCause,
    Refused,
    RuleHidden,
)

_ENDS = {
    EndCause.WRONG_PORT: (
        "knock in the order of the door's sequence, and at nothing of it in between; a browser or a"
        " phone that connects twice is let pass by forgive in pyknockd.yaml"
    ),
    EndCause.WRONG_PROTOCOL: "knock at this step over the protocol that the sequence names",
    EndCause.TOO_LATE: "knock faster, or raise Seq_Timeout of the door",
    EndCause.EVICTED: "try again; if it happens often, raise attempts under limits in pyknockd.yaml",
    EndCause.RELOAD: "knock once more from the first step on",
    EndCause.ONE_TIME_USED: "use the next sequence of the file",
    EndCause.STRICT: "connect to nothing else on this host between the knocks, or take strict away",
}
_NOT_HEARD = {
    NotHeardCause.FLAGS: (
        "a knock is the beginning of a connection: let the client send a SYN, or change TCPFlags"
    ),
    NotHeardCause.NOT_ADDRESSED_HERE: "knock at an address of this host, or name it as Target",
    NotHeardCause.REPEATED: "nothing: the client's system has sent its packet once more",
    NotHeardCause.TURNED_AWAY: (
        "try again; if it happens often, raise attempts under limits in pyknockd.yaml"
    ),
    NotHeardCause.TOO_LATE: "knock faster, or raise Seq_Timeout of the door",
    NotHeardCause.NO_ATTEMPT: "begin with the first step of the sequence",
    NotHeardCause.WRONG_PROTOCOL: "knock at this step over the protocol that the sequence names",
    NotHeardCause.NEAR_PORT: "compare the port with the sequence in the configuration",
    NotHeardCause.DENIED: "knock from another address, or change allow or deny in pyknockd.yaml",
    NotHeardCause.COOLDOWN: "wait, or lower cooldown in pyknockd.yaml",
    NotHeardCause.FORGIVEN: "nothing: the attempt goes on",
    NotHeardCause.NOT_LISTENED_ON: (
        "knock where the daemon listens, or name the interface: -i, Interface, or interfaces"
    ),
}
_REFUSALS = {
    RefusalCause.ONE_TIME_FILE: "look at the file of one-time sequences, and who may write it",
    RefusalCause.START_COMMAND_TOO_LONG: "shorten Start_Command, or put it into a script",
    RefusalCause.STOP_COMMAND_TOO_LONG: "shorten Stop_Command, or put it into a script",
    RefusalCause.TOO_MANY_WAIT: "see which commands do not end: knockctl status, and the log",
    RefusalCause.TOO_MANY_OPEN: "see who is in: knockctl doors; close one, or raise max_open",
    RefusalCause.OTHER_FAMILY: "add the directives that the log names: Start_Command_6 and the like",
}


def remedy_of(event: Event) -> str:
    """What to do about ``event``; the empty text where nothing is to be done."""
    if isinstance(event, AttemptEnded):
        return _ENDS.get(event.cause, "")
    if isinstance(event, NotHeard):
        return _NOT_HEARD[event.cause]
    if isinstance(event, Refused):
        return _REFUSALS[event.cause]
    if isinstance(event, CommandEnded) and event.status:
        return "run the command by itself as root, and read what it says in the log"
    if isinstance(event, RuleHidden):
        return "see what stands in front of the rule: iptables -S, nft list ruleset"
    return ""
