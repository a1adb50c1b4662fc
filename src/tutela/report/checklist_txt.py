"""The checklist as plain text, 80 columns: for a terminal, or where no document library is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutela.assess.assessment import Assessment
from tutela.language import Lang, Text
from tutela.report.checklist import (
    EVIDENCE_TITLE,
    HEADINGS,
    NOTES_TITLE,
    NOTHING,
    SIGNATURE_BLANKS,
    SIGNATURES_TITLE,
    Checklist,
    Row,
    checklist,
    ranges,
)
from tutela.report.columns import padded, width, wrapped
from tutela.report.inert import inert
from tutela.report.options import Options

_BOX = {True: "[x] ", False: "[ ] ", None: ""}
_LINE = "________"


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """A form after the other, with a form feed between them for printers."""
    for at, assessment in enumerate(assessments):
        if at:
            yield "\f"
        for line in _form(checklist(assessment, options), lang, options.width):
            yield line.rstrip() + "\n"


def _form(form: Checklist, lang: Lang, columns: int) -> Iterator[str]:
    def say(text: Text) -> str:
        return inert(text.in_(lang))

    yield from wrapped(f"{say(form.title)} {form.edition}", columns)
    yield from wrapped(form.subject, columns)
    yield ""
    for label, value in form.facts:
        first = padded(say(label), 12)
        yield from wrapped(value, columns, first=first, rest=" " * width(first), whole=True)
    yield ""
    for row in form.rows:
        yield from _row(row, lang, columns)
    yield ""
    yield say(NOTES_TITLE)
    for note in form.notes:
        yield from wrapped(say(note), columns, first="- ", rest="  ")
    yield ""
    yield say(EVIDENCE_TITLE)
    for number, ref in enumerate(form.evidence, 1):
        first = padded(f"E{number}", 5)
        yield from wrapped(f"{inert(ref.source)} ({ref.status})", columns, first=first, rest=" " * 5)
        yield f"     {ref.digest}"
    yield ""
    yield say(SIGNATURES_TITLE)
    for who in form.signatures:
        blanks = "  ".join(f"{say(blank)} {_LINE * 2}" for blank in SIGNATURE_BLANKS)
        yield from wrapped(say(who), columns)
        yield f"  {blanks}"
        yield ""


def _row(row: Row, lang: Lang, columns: int) -> Iterator[str]:
    indent = "  " * row.depth
    blanks = "  ".join(f"{blank.label.in_(lang)} {inert(blank.value.in_(lang)) or _LINE}".strip() for blank in row.blanks)
    label = inert(row.label.in_(lang)) + (f"  {blanks}" if blanks else "")
    first = f"{indent}{_BOX[row.ticked]}"
    yield from wrapped(f"{row.id} {label}", columns, first=first, rest=" " * (width(first) + 2))
    fields = [(HEADINGS[1], row.declared), (HEADINGS[2], row.measured), (HEADINGS[3], row.verdict)]
    words = [f"{name.in_(lang)} {inert(value.in_(lang))}" for name, value in fields]
    if row.evidence:
        words.append(f"{HEADINGS[4].in_(lang)} {ranges(row.evidence)}")
    if any(value != NOTHING for _, value in fields):
        yield from wrapped(" | ".join(words), columns, first=" " * (width(first) + 2), rest=" " * (width(first) + 2))
    for remark in row.remarks:
        yield from wrapped(inert(remark.in_(lang)), columns, first=" " * (width(first) + 2) + "! ", rest=" " * (width(first) + 4))
