"""Frame → ``Knock``: what comes in on the interfaces, as far as somebody listens for it."""
