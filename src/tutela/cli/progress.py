"""Progress on stderr, and only to a terminal."""

from __future__ import annotations

import os
import sys
import time

from tutela.language import Lang, Text


class Progress:
    """One line that says how far a run is; silent where nobody watches."""

    def __init__(self, total: int, lang: Lang) -> None:
        self.total, self.lang = total, lang
        self.done = 0
        self.unreachable = 0
        self.started = time.monotonic()
        self.shown = 0.0
        self.watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._line()

    def step(self, count: int = 1, *, unreachable: bool = False) -> None:
        """Some more targets are done."""
        self.done += count
        self.unreachable += unreachable
        now = time.monotonic()
        if now - self.shown > 0.1 or self.done == self.total:
            self._line()

    def _line(self) -> None:
        if not self.watched:
            return
        self.shown = time.monotonic()
        if self.total == 1:
            words = Text("正在查看主机…", "looking at the host…").in_(self.lang)
        else:
            filled = 24 * self.done // max(self.total, 1)
            rate = self.done / max(self.shown - self.started, 0.001)
            left = f"{(self.total - self.done) / rate:.0f} s" if self.done else "-"
            words = (
                "["
                + "#" * filled
                + "." * (24 - filled)
                + "] "
                + Text("{done}/{total} 台，不可达 {lost}，剩余约 {left}", "{done}/{total} hosts, {lost} unreachable, about {left} left")
                .with_values(done=self.done, total=self.total, lost=self.unreachable, left=left)
                .in_(self.lang)
            )
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the line away."""
        if self.watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
