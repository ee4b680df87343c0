"""Event → what people and programs read."""
