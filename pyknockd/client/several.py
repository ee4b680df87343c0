"""Several hosts side by side, a thread each."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pyknockd.client.errands import ClientError, Errand, Result, Seen
from pyknockd.client.screen import Board, Say
from pyknockd.client.sending import NameNotFound

MOST_AT_ONCE = 256
Act = Callable[[Errand, Say], Result]


def side_by_side(errands: list[Errand], act: Act, warn: Say) -> list[Result]:
    """``act`` for each; in the order of the errands."""
    board = Board([errand.name for errand in errands])
    results: dict[str, Result] = {}
    places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def one(errand: Errand) -> None:
        with places:
            try:
                result = act(errand, lambda text: board.show(errand.name, text))
            except (ClientError, NameNotFound) as error:
                warn(f"{errand.name}: {error}")
                result = Result(errand.name, errand.host, Seen.FAILED, 0, 0.0, complete=False)
        board.show(errand.name, result.seen.value)
        results[errand.name] = result

    threads = [threading.Thread(target=one, args=(each,), daemon=True) for each in errands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[errand.name] for errand in errands]
