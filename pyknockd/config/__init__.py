"""Files → ``Config``, or every mistake in them."""
