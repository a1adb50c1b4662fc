"""One line of CSV, RFC 4180. A cell that a spreadsheet would run as a formula begins with an apostrophe."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

FORMULA = frozenset("=+-@\t\r＝＋－＠")


def row(cells: Sequence[str]) -> str:
    """One line; no cell of it is a formula."""
    buffer = StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n").writerow([_safe(cell) for cell in cells])
    return buffer.getvalue()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.lstrip()[:1] in FORMULA and cell.strip() else cell
