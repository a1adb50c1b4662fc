"""The error tree.

    TutelaError                  anything that is not a bug in Tutela
    ├── UsageError               wrong words on the command line; raised and caught by cli
    ├── ContentError             a content or site file is wrong; carries file:line:column
    ├── BundleError              a bundle or a probe's output is cut, forged, too large, not ours
    ├── CollectError             a target could not be looked at; the subject becomes unproven
    └── ScanError                a scan was refused or could not be made

A message says what was tried, on what, what came back and what to do next, in both languages.
Only `cli` prints an error and chooses an exit status.
"Could not observe" is no error: it is a value, `tutela.evidence.Unobserved`.
"""

from __future__ import annotations

from tutela.language import Lang, Text, same


class TutelaError(Exception):
    """Base of every error that a user's input or surroundings can cause."""

    def __init__(self, message: Text | str) -> None:
        self.message = same(message) if isinstance(message, str) else message
        super().__init__(self.message.en)

    def in_(self, lang: Lang) -> str:
        """The message in `lang`."""
        return self.message.in_(lang)


class UsageError(TutelaError):
    """The command line asks for something that does not exist or does not fit together."""


class ContentError(TutelaError):
    """A content, site or inventory file does not say what its format requires."""

    def __init__(self, message: Text | str, *, file: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.file, self.line, self.column = file, line, column
        where = f"{file}:{line}:{column}: " if line else f"{file}: "
        self.message = Text(where + self.message.zh, where + self.message.en)
        self.args = (self.message.en,)


class BundleError(TutelaError):
    """Recorded evidence cannot be read as what it claims to be."""


class CollectError(TutelaError):
    """A target could not be looked at: unreachable, refused, changed host key, no such command."""


class ScanError(TutelaError):
    """A scan was refused, or could not be made: a target that is not ours, no route, no permission."""
