"""Files → ``Config``, or every mistake in them."""

from pyknockd.config.files import ConfigError, load

__all__ = ["ConfigError", "load"]
