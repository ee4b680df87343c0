"""Files → ``Config``, or every mistake in them."""

from pyknockd.config.files import ConfigError, Loaded, load
from pyknockd.config.freshness import Freshness
from pyknockd.config.last_good import LastGood

__all__ = ["ConfigError", "Freshness", "LastGood", "Loaded", "load"]
