"""Commands as words: no shell where none is needed."""

from __future__ import annotations

# sh(1): characters that mean something to a shell, unquoted anywhere, and between double quotes.
_SHELL_SYNTAX = frozenset("|&;<>()$`\\*?[]#~{}\n")
_SHELL_IN_DOUBLE_QUOTES = frozenset("$`\\\n")
_BLANKS = " \t"


def split(command: str) -> list[str] | None:
    """The words a shell would make of ``command``, or None if that takes a shell to say."""
    found: list[str] = []
    word: str | None = None
    quote = ""
    for char in command:
        if quote:
            if char == quote:
                quote = ""
            elif quote == '"' and char in _SHELL_IN_DOUBLE_QUOTES:
                return None
            else:
                word = (word or "") + char
        elif char in "'\"":
            quote, word = char, word or ""
        elif char in _BLANKS:
            if word is not None:
                found.append(word)
            word = None
        elif char in _SHELL_SYNTAX:
            return None
        else:
            word = (word or "") + char
    if quote:
        return None
    return found if word is None else [*found, word]
