"""Reports: an assessment in every form people and machines read. Pure: text in, text out.

One file a format, each with

    render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str] | Iterator[bytes]

and one line in `FORMATS`. A format never judges: what all formats have to agree upon stands in `findings`.
Modules are imported when a format is asked for, so a host without the paper forms' libraries has all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tutela.errors import UsageError
from tutela.language import Lang, Text
from tutela.record import record
from tutela.report.options import Options

if TYPE_CHECKING:
    # Naming the formats must not cost what judging needs: `--help` lists them.
    from tutela.assess.assessment import Assessment

    Render = Callable[[Sequence[Assessment], Lang, Options], Iterator[str] | Iterator[bytes]]

__all__ = ["FORMATS", "Format", "Options"]


@record
class Format:
    """One form of report."""

    name: str
    module: str
    extension: str
    media_type: str
    spoken: bool = True
    """False: made for machines, the same bytes in every language."""
    binary: bool = False
    """`render` yields bytes; a terminal is no place for them."""
    many: bool = True
    """Several subjects fit into one document."""
    needs: str | None = None
    """Optional library; The extra `forms` brings it."""

    def render(self, assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str] | Iterator[bytes]:
        """The document, piece by piece.

        Raises UsageError before the first piece when a library is missing, or the format takes one subject and got several.
        """
        if self.needs is not None and find_spec(self.needs) is None:
            raise UsageError(
                Text(
                    f"格式 {self.name} 需要 {self.needs}，此处没有安装；请运行 pip install python-docx typst，或改用 checklist.txt。",
                    f"the format {self.name} needs {self.needs}, which is not installed here; run pip install python-docx typst, or use checklist.txt.",
                )
            )
        if not self.many and len(assessments) != 1:
            raise UsageError(Text(f"格式 {self.name} 一次只写一台主机", f"the format {self.name} takes one subject at a time"))
        return self.load()(assessments, lang, options)

    def load(self) -> Render:
        """Import what renders it; without its library that fails."""
        made: Render = import_module(f"tutela.report.{self.module}").render
        return made


FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        Format("text", "text", "txt", "text/plain; charset=utf-8"),
        Format("json", "json", "json", "application/json", spoken=False),
        Format("jsonl", "jsonl", "jsonl", "application/jsonl", spoken=False),
        Format("html", "html", "html", "text/html; charset=utf-8"),
        Format("sarif", "sarif", "sarif", "application/sarif+json"),
        Format("junit", "junit", "xml", "application/xml"),
        Format("csv", "csv", "csv", "text/csv; charset=utf-8"),
        Format("oscal", "oscal", "json", "application/json"),
        Format("prometheus", "prometheus", "prom", "text/plain; version=0.0.4; charset=utf-8", spoken=False),
        Format("nagios", "nagios", "txt", "text/plain; charset=utf-8"),
        Format("checklist.txt", "checklist_txt", "txt", "text/plain; charset=utf-8"),
        Format(
            "checklist.docx",
            "checklist_docx",
            "docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            binary=True,
            needs="docx",
        ),
        Format("checklist.pdf", "checklist_pdf", "pdf", "application/pdf", binary=True, needs="typst"),
    )
}
