"""Receipts as QR codes (ISO/IEC 18004): what is on paper verifies too, once it is scanned."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from tutela.collect.archive import write_whole
from tutela.errors import UsageError
from tutela.language import Text

_MODULE = 3
"""Dots a module: at 300 dpi the largest code (177 modules) is 4.5 cm wide."""
_LARGEST = 2953
"""Bytes that one code holds (version 40, level L)."""


def write_codes(path: Path, content: bytes, *, private: bool = False) -> Iterator[Path]:
    """Writes one picture, or several when one code cannot hold it all (`name-1.svg`, `name-2.svg`): the receipt is their contents one behind the other.

    A `private` one is for its owner's eyes alone, as the receipt's file is.
    """
    if path.suffix not in (".svg", ".png"):
        raise UsageError(Text(f"二维码存为 .svg 或 .png，不是 {path.name}", f"a QR code is saved as .svg or .png, not as {path.name}"))
    try:
        import segno
    except ImportError:
        raise UsageError(Text("二维码需要 segno：pip install segno", "QR codes need segno: pip install segno")) from None
    parts = [content[at : at + _LARGEST] for at in range(0, len(content), _LARGEST)]
    for number, part in enumerate(parts, 1):
        one = path if len(parts) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        picture = BytesIO()
        segno.make_qr(part, error="l", boost_error=False, mode="byte").save(picture, kind=path.suffix[1:], scale=_MODULE)
        write_whole(one, picture.getvalue(), private=private)
        yield one
