"""Event → change, and its end: the life of each opening."""
