"""The checklist as DOCX, by python-docx: boxes that can be clicked, blanks that can be typed into.

python-docx knows nothing of East Asian fonts or checkboxes, so those few elements are written here.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from tutela.assess.assessment import Assessment
from tutela.language import Lang, Text
from tutela.report.checklist import (
    EVIDENCE_HEADINGS,
    EVIDENCE_TITLE,
    HEADINGS,
    NOTES_TITLE,
    SIGNATURE_BLANKS,
    SIGNATURES_TITLE,
    TITLE,
    Checklist,
    Row,
    checklist,
    ranges,
)
from tutela.report.inert import inert
from tutela.report.options import Options

LATIN, CHINESE, MONO, BOXES = "Calibri", "Microsoft YaHei", "Consolas", "MS Gothic"
_W14 = "http://schemas.microsoft.com/office/word/2010/wordml"
_TONES = {"good": (0x11, 0x63, 0x29), "bad": (0xB4, 0x23, 0x18), "open": (0x8A, 0x5A, 0x00), "empty": (0x59, 0x63, 0x6E), "": (0x59, 0x63, 0x6E)}
_DIM = _TONES["empty"]
_LINE = "_" * 8
_WIDTHS_MM = (94, 20, 23, 19, 20)
_EVIDENCE_MM = (12, 64, 16, 84)


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[bytes]:
    """One document, a form a page."""
    import docx  # noqa: PLC0415 - an optional library

    document = docx.Document()
    writer = _Writer(document, lang)
    for at, assessment in enumerate(assessments):
        if at:
            writer.new_page()
        writer.form(checklist(assessment, options))
    judged = max((one.judged_at for one in assessments), default=datetime(1980, 1, 1, tzinfo=UTC)).astimezone(UTC)
    writer.properties(judged)
    buffer = BytesIO()
    document.save(buffer)
    yield _settled(buffer.getvalue(), judged)


def _settled(raw: bytes, moment: datetime) -> bytes:
    """The same archive with one time on every member, so that the same form is the same bytes."""
    stamp = max(moment.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(raw)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, stamp), old.read(name), zipfile.ZIP_DEFLATED)
    return made.getvalue()


class _Writer:
    """Paragraphs and tables in one language."""

    def __init__(self, document: Any, lang: Lang) -> None:
        from docx.oxml import OxmlElement  # noqa: PLC0415
        from docx.oxml.ns import qn  # noqa: PLC0415
        from docx.shared import Mm, Pt, RGBColor  # noqa: PLC0415

        self.document, self.lang = document, lang
        self.element, self.qn, self.mm, self.pt, self.rgb = OxmlElement, qn, Mm, Pt, RGBColor
        section = document.sections[0]
        section.page_width, section.page_height = Mm(210), Mm(297)
        section.left_margin = section.right_margin = Mm(17)
        section.top_margin = section.bottom_margin = Mm(16)
        normal = document.styles["Normal"]
        normal.font.name, normal.font.size = LATIN, Pt(9)
        normal.element.rPr.rFonts.set(qn("w:eastAsia"), CHINESE)
        normal.paragraph_format.space_after = Pt(2)
        normal.paragraph_format.space_before = Pt(0)
        language = OxmlElement("w:lang")
        language.set(qn("w:val"), "en-GB")
        language.set(qn("w:eastAsia"), "zh-CN")
        normal.element.rPr.append(language)

    def say(self, text: Text) -> str:
        return inert(text.in_(self.lang))

    def properties(self, moment: datetime) -> None:
        core = self.document.core_properties
        core.title, core.author, core.comments, core.last_modified_by = TITLE.in_(self.lang), "Tutela", "", "Tutela"
        core.created = core.modified = moment.replace(tzinfo=None)
        core.language = "zh-CN" if self.lang is Lang.ZH else "en-GB"

    def run(
        self,
        paragraph: Any,
        words: str,
        *,
        size: float | None = None,
        bold: bool = False,
        colour: tuple[int, int, int] | None = None,
        under: bool = False,
        font: str = "",
    ) -> Any:
        run = paragraph.add_run(words)
        run.bold, run.underline = bold or None, under or None
        if size is not None:
            run.font.size = self.pt(size)
        if colour is not None:
            run.font.color.rgb = self.rgb(*colour)
        if font:
            run.font.name = font
            run._element.rPr.rFonts.set(self.qn("w:eastAsia"), font if font == BOXES else CHINESE)  # noqa: SLF001 - python-docx has no other way
        return run

    def checkbox(self, paragraph: Any, ticked: bool) -> None:
        """A content control that Word and LibreOffice let people click."""
        control, properties, content = self.element("w:sdt"), self.element("w:sdtPr"), self.element("w:sdtContent")
        box = properties.makeelement(f"{{{_W14}}}checkbox", nsmap={"w14": _W14})
        for name, value in (("checked", "1" if ticked else "0"), ("checkedState", "2612"), ("uncheckedState", "2610")):
            state = box.makeelement(f"{{{_W14}}}{name}")
            state.set(f"{{{_W14}}}val", value)
            if name != "checked":
                state.set(f"{{{_W14}}}font", BOXES)
            box.append(state)
        properties.append(box)
        run = self.run(paragraph, "☒" if ticked else "☐", font=BOXES)
        control.append(properties)
        control.append(content)
        run._element.addprevious(control)  # noqa: SLF001
        content.append(run._element)  # noqa: SLF001
        self.run(paragraph, " ")

    def new_page(self) -> None:
        self.document.add_page_break()

    def form(self, form: Checklist) -> None:
        """The whole form."""
        title = self.document.add_paragraph()
        self.run(title, self.say(form.title), size=16, bold=True)
        self.run(title, f"  {form.edition}", size=10, colour=_DIM)
        self.run(self.document.add_paragraph(), form.subject, size=11, bold=True)
        for label, value in form.facts:
            line = self.document.add_paragraph()
            self.run(line, f"{self.say(label)}  ", size=8, colour=_DIM)
            self.run(line, value, size=8)
        self.document.add_paragraph()
        table = self.table([self.say(text) for text in HEADINGS], _WIDTHS_MM)
        for row in form.rows:
            self.row(table, row)
        self.heading(NOTES_TITLE)
        for note in form.notes:
            line = self.document.add_paragraph(style="List Bullet")
            self.run(line, self.say(note), size=8)
        self.heading(SIGNATURES_TITLE)
        for who in form.signatures:
            line = self.document.add_paragraph()
            line.paragraph_format.keep_with_next = True
            self.run(line, self.say(who))
            blanks = self.document.add_paragraph()
            blanks.paragraph_format.space_before, blanks.paragraph_format.space_after = self.pt(8), self.pt(10)
            for blank in SIGNATURE_BLANKS:
                self.run(blanks, f"{self.say(blank)} ", size=8, colour=_DIM)
                self.run(blanks, f"{_LINE * 2}    ")
        if form.evidence:
            self.heading(EVIDENCE_TITLE)
            table = self.table([self.say(text) for text in EVIDENCE_HEADINGS], _EVIDENCE_MM)
            for number, ref in enumerate(form.evidence, 1):
                cells = self.cells(table, _EVIDENCE_MM)
                for cell, words in zip(cells, (f"E{number}", inert(ref.source), ref.status), strict=False):
                    self.run(cell.paragraphs[0], words, size=7)
                self.run(cells[3].paragraphs[0], ref.digest.removeprefix("sha256:"), size=5.5, font=MONO)

    def heading(self, text: Text) -> None:
        line = self.document.add_paragraph()
        line.paragraph_format.space_before, line.paragraph_format.keep_with_next = self.pt(10), True
        self.run(line, self.say(text), size=10, bold=True)

    def table(self, headings: Sequence[str], widths: Sequence[int]) -> Any:
        """A table whose first row repeats on every page."""
        table = self.document.add_table(rows=0, cols=len(widths), style="Table Grid")
        table.autofit = False
        for column, columns in zip(table.columns, widths, strict=True):
            column.width = self.mm(columns)
        self.grey(table)
        cells = self.cells(table, widths)
        for cell, words in zip(cells, headings, strict=True):
            self.run(cell.paragraphs[0], words, size=8, bold=True)
            shade = self.element("w:shd")
            for key, value in (("w:val", "clear"), ("w:color", "auto"), ("w:fill", "F0F2F5")):
                shade.set(self.qn(key), value)
            cell._element.get_or_add_tcPr().append(shade)  # noqa: SLF001
        repeat = self.element("w:tblHeader")
        repeat.set(self.qn("w:val"), "true")
        table.rows[0]._tr.get_or_add_trPr().append(repeat)  # noqa: SLF001
        return table

    def grey(self, table: Any) -> None:
        """Thin grey lines between rows only."""
        borders = self.element("w:tblBorders")
        for side in ("top", "left", "bottom", "right", "insideH", "insideV"):
            edge = self.element(f"w:{side}")
            kind = "nil" if side in ("left", "right", "insideV") else "single"
            for key, value in (("w:val", kind), ("w:sz", "4"), ("w:space", "0"), ("w:color", "B9C0C8")):
                edge.set(self.qn(key), value)
            borders.append(edge)
        table._tbl.tblPr.append(borders)  # noqa: SLF001

    def cells(self, table: Any, widths: Sequence[int]) -> Any:
        row = table.add_row()
        keep = self.element("w:cantSplit")
        row._tr.get_or_add_trPr().append(keep)  # noqa: SLF001
        for cell, columns in zip(row.cells, widths, strict=True):
            cell.width = self.mm(columns)
        return row.cells

    def row(self, table: Any, row: Row) -> None:
        item, declared, measured, verdict, evidence = self.cells(table, _WIDTHS_MM)
        line = item.paragraphs[0]
        line.paragraph_format.left_indent = self.mm(5 * row.depth)
        if row.ticked is not None:
            self.checkbox(line, row.ticked)
        self.run(line, self.say(row.label), bold=row.depth == 0)
        self.run(line, f"  {row.id}", size=7, colour=_DIM)
        for blank in row.blanks:
            value = self.say(blank.value)
            self.run(line, f"   {self.say(blank.label)} ", size=8, colour=_DIM)
            self.run(line, value or _LINE, under=bool(value))
        for remark in row.remarks:
            more = item.add_paragraph()
            more.paragraph_format.left_indent = self.mm(5 * row.depth + 5)
            self.run(more, self.say(remark), size=7.5, colour=_TONES["open" if row.tone in ("", "good") else row.tone])
        self.run(declared.paragraphs[0], self.say(row.declared), size=8)
        self.run(measured.paragraphs[0], self.say(row.measured), size=8)
        self.run(verdict.paragraphs[0], self.say(row.verdict), size=8, bold=row.tone in ("good", "bad"), colour=_TONES[row.tone])
        self.run(evidence.paragraphs[0], ranges(row.evidence), size=7, colour=_DIM)
