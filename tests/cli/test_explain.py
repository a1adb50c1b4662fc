from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import scenes
from tutela.agreement.rulebook import resolve
from tutela.assess import assess
from tutela.cli.explain import MAX_EVIDENCE, explain
from tutela.collect.archive import read_bundle
from tutela.language import Lang
from tutela.site import Site

CONTENT = scenes.content()
IDS = [clause.id for agreement in CONTENT.agreements.values() for clause in agreement.clauses]
IDS += [row.id for table in CONTENT.tables.values() for row in table.rows]
IDS += [*CONTENT.checks, *CONTENT.by_catalogue()]
IDS += [*CONTENT.profiles, *(agreement.id for agreement in CONTENT.agreements.values())]
IDS += [f"U{number}" for number in range(1, 9)] + [f"NC{number}" for number in range(1, 11)]


@pytest.mark.parametrize("lang", list(Lang))
def test_every_id_is_explained(lang: Lang) -> None:
    for name in IDS:
        lines = list(explain(name, CONTENT, None, lang))
        assert len(lines) >= 3, name
        assert name in "\n".join(lines)


@pytest.mark.parametrize("lang", list(Lang))
def test_the_remedy_stands_before_the_evidence_and_long_evidence_is_folded(lang: Lang) -> None:
    name = "backup-recent"
    bundle = read_bundle(Path(__file__).parents[2] / "examples" / "debian-12.bundle")
    assessment = assess(bundle, resolve(CONTENT, (CONTENT.profiles["campus-L1"],)), Site())

    lines = list(explain(name, CONTENT, assessment, lang))

    remedy = next(at for at, line in enumerate(lines) if line.startswith(("怎么做", "what to do")))
    evidence = next(at for at, line in enumerate(lines) if line.startswith(("证据", "evidence")))
    assert remedy < evidence
    assert len(lines) - evidence <= MAX_EVIDENCE + 2
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize("lang", list(Lang))
def test_a_row_has_no_empty_values_and_no_words_of_python(lang: Lang) -> None:
    rows = [row.id for table in CONTENT.tables.values() for row in table.rows]
    values = [line for name in rows for line in explain(name, CONTENT, None, lang) if re.match(r"  \w+: ?", line)]

    assert values
    assert [line for line in values if line.rstrip().endswith((":", ": None", ": True", ": False"))] == []


def test_chinese_lines_about_a_profile_have_chinese_colons() -> None:
    lines = list(explain("campus-L1", CONTENT, None, Lang.ZH))

    assert "  H-017  新密码须够长并含四类字符：minlen = 8" in lines
    assert [line for line in lines if ": " in line] == []


def test_an_id_may_be_written_in_either_case() -> None:
    for name in ("h-028", "Lb-4.6", "CAMPUS-L1", "SSH-Root-Login", "kpi-01"):
        assert name.lower() in next(explain(name, CONTENT, None, Lang.EN)).lower()


def test_what_is_never_shown_is_not_said_to_lie_on_the_host_alone() -> None:
    """Contacts come from the site file, guessed passwords from the test: no probe masks these."""
    assert "probe" not in "\n".join(explain("NC8", CONTENT, None, Lang.EN))
