"""One assessment a line, as in `json`, for pipes and log stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutela.assess.assessment import Assessment
from tutela.language import Lang
from tutela.report.json import Lines
from tutela.report.options import Options


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """A line as soon as it is asked for."""
    del lang, options
    lines = Lines()
    for assessment in assessments:
        yield lines.line(assessment).decode()
