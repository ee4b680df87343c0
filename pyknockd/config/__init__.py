"""Files → ``Config``, or every mistake in them."""

from pyknockd.config.files import ConfigError, load
from pyknockd.config.freshness import Freshness

__all__ = ["ConfigError", "Freshness", "load"]
