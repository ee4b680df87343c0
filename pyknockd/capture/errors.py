"""What can go wrong with listening. Without scapy, so that whoever catches it need not load that."""


class CaptureError(Exception):
    """An interface cannot be listened on; the text says what to do about it."""
