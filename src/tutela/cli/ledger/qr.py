"""Receipts as QR codes (ISO/IEC 18004): what is on paper verifies too, once it is scanned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutela.errors import UsageError
from tutela.language import Text

_MODULE = 3
"""Dots a module: at 300 dpi the largest code (177 modules) is 4.5 cm wide."""
_LARGEST = 2953
"""Bytes that one code holds (version 40, level L)."""


def write_codes(path: Path, content: bytes) -> Iterator[Path]:
    """Writes one picture, or several when one code cannot hold it all (`name-1.svg`, `name-2.svg`: structured append)."""
    if path.suffix not in (".svg", ".png"):
        raise UsageError(Text(f"二维码存为 .svg 或 .png，不是 {path.name}", f"a QR code is saved as .svg or .png, not as {path.name}"))
    try:
        import segno
    except ImportError:
        raise UsageError(Text("二维码需要 segno：pip install 'tutela[ledger]'", "QR codes need segno: pip install 'tutela[ledger]'")) from None
    options: dict[str, Any] = {"error": "l", "boost_error": False, "mode": "byte"}
    codes = [segno.make_qr(content, **options)] if len(content) <= _LARGEST else segno.make_sequence(content, version=40, **options)
    for number, code in enumerate(codes, 1):
        one = path if len(codes) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        code.save(str(one), scale=_MODULE)
        yield one
