"""``Knock`` → event: who has shown that he may."""
