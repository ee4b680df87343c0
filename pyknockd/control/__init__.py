"""knockctl and the daemon: what is asked, what is answered, and who may ask."""

from pyknockd.control.answers import Door, Interface, Status, Visit
from pyknockd.control.handlers import Handlers
from pyknockd.control.protocol import Refusal
from pyknockd.control.server import Server, ServerError
from pyknockd.control.service import Service
from pyknockd.control.watchers import Stream, Watchers

__all__ = [
    "Door",
    "Handlers",
    "Interface",
    "Refusal",
    "Server",
    "ServerError",
    "Service",
    "Status",
    "Stream",
    "Visit",
    "Watchers",
]
