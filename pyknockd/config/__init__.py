"""Files → ``Config``, or every mistake in them."""

from pyknockd.config.files import ConfigError, Loaded, load
from pyknockd.config.last_good import LastGood

__all__ = ["ConfigError", "LastGood", "Loaded", "load"]
