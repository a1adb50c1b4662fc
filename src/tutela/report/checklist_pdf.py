"""The checklist as PDF/A-2b, drawn by typst from `checklist.typ`.

The same assessment and the same fonts give the same bytes: the document's time is the time of judgement.
Fonts come from the system; a text that none of them can show is refused rather than printed as empty boxes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from importlib import resources
from typing import Any

from tutela.assess.assessment import Assessment
from tutela.errors import UsageError
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
    checklist,
    ranges,
)
from tutela.report.columns import width
from tutela.report.inert import inert
from tutela.report.options import Options

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Noto Sans SC",
    "Noto Sans CJK SC VF",
    "Microsoft YaHei",
    "PingFang SC",
    "HarmonyOS Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "SimSun",
    "Noto Serif CJK SC",
)
LATIN_FONTS = ("Noto Sans", "Liberation Sans", "Arial", "Helvetica", "DejaVu Sans", "Libertinus Serif")


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[bytes]:
    """One document, a form after the other. Raises UsageError when the text needs a Chinese font and there is none."""
    import typst  # noqa: PLC0415 - an optional library

    forms = json.dumps([data(checklist(one, options), lang) for one in assessments], ensure_ascii=False)
    fonts = typst.Fonts()
    families = set(fonts.families())
    chinese = [name for name in CHINESE_FONTS if name in families][:1]
    if not chinese and width(forms) != len(forms):
        raise UsageError(
            Text(
                "系统中没有中文字体，无法生成 PDF；请安装（Debian：apt install fonts-noto-cjk），或改用 checklist.docx、checklist.txt。",
                "no Chinese font was found, so the PDF cannot be drawn; install one (Debian: apt install fonts-noto-cjk), or use checklist.docx or checklist.txt.",
            )
        )
    style = {
        "title": TITLE.in_(lang),
        "lang": "zh" if lang is Lang.ZH else "en",
        "region": "cn" if lang is Lang.ZH else "gb",
        "fonts": [*chinese, *(name for name in LATIN_FONTS if name in families)],
    }
    judged = max((one.judged_at for one in assessments), default=None)
    yield typst.compile(
        (resources.files("tutela.report") / "checklist.typ").read_bytes(),
        font_paths=fonts,
        sys_inputs={"forms": forms, "style": json.dumps(style)},
        format="pdf",
        pdf_standards=["a-2b"],
        timestamp=0 if judged is None else int(judged.astimezone(UTC).timestamp()),
    )


def data(form: Checklist, lang: Lang) -> dict[str, Any]:
    """The form in one language, as plain strings."""

    def say(text: Text) -> str:
        return inert(text.in_(lang))

    return {
        "title": say(form.title),
        "edition": form.edition,
        "subject": form.subject,
        "facts": [[say(label), value] for label, value in form.facts],
        "headings": [say(text) for text in HEADINGS],
        "rows": [
            {
                "id": row.id,
                "depth": row.depth,
                "box": row.ticked,
                "label": say(row.label),
                "blanks": [{"label": say(blank.label), "value": say(blank.value)} for blank in row.blanks],
                "declared": say(row.declared),
                "measured": say(row.measured),
                "verdict": say(row.verdict),
                "tone": row.tone,
                "evidence": ranges(row.evidence),
                "remarks": [say(remark) for remark in row.remarks],
            }
            for row in form.rows
        ],
        "notes_title": say(NOTES_TITLE),
        "notes": [say(note) for note in form.notes],
        "evidence_title": say(EVIDENCE_TITLE),
        "evidence_headings": [say(text) for text in EVIDENCE_HEADINGS],
        "evidence": [[f"E{number}", inert(ref.source), ref.status, ref.digest.removeprefix("sha256:")] for number, ref in enumerate(form.evidence, 1)],
        "signatures_title": say(SIGNATURES_TITLE),
        "signatures": [say(text) for text in form.signatures],
        "signature_blanks": [say(text) for text in SIGNATURE_BLANKS],
    }
