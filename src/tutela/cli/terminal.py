"""The terminal that a person reads from."""

from __future__ import annotations

import os
import sys

NARROWEST = 40


def columns(most: int = 80) -> int:
    """How wide lines may be: as the terminal is, up to `most`; 80 where nobody watches, or the terminal does not say (a serial line says 0)."""
    if not sys.stdout.isatty():
        return 80
    return max(NARROWEST, min(os.get_terminal_size(sys.stdout.fileno()).columns or 80, most))


def colourful() -> bool:
    """Whether colours are welcome (no-color.org); a dumb terminal has none."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
