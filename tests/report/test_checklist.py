from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.report.standard import options, standard
from tutela.checks import Outcome
from tutela.errors import UsageError
from tutela.evidence import Evidence, Reason, Unobserved
from tutela.facts.registry import parser
from tutela.facts.ssh_servers import FILES
from tutela.language import Lang, Text
from tutela.report import FORMATS
from tutela.report.checklist import Checklist, Row, checklist, ranges
from tutela.report.checklist_pdf import CHINESE_FONTS

# Catalogue, section 5 and T-06: every line in its order; CK-3.1 and the addresses repeat as needed.
LINES = [
    "CK-0.1",
    "CK-0.2",
    "CK-1",
    "CK-2",
    "CK-3",
    "CK-3.1",
    "CK-4",
    "CK-4.1",
    "CK-4.1a",
    "CK-4.1b",
    "CK-4.1c",
    "CK-4.2",
    "CK-4.3",
    "CK-4.4",
    "CK-4.5",
    "CK-5",
    "CK-5.1",
    "CK-6",
    "CK-6.1",
    "CK-6.2",
    "CK-7",
    "CK-7.1",
    "CK-7.2",
    "CK-8",
    "CK-8.1",
    "CK-8.2",
]
UNSEEN = Unobserved(Reason.PRIVILEGE, "ss", Text("看不到", "not seen"))


def form(name: str) -> Checklist:
    return checklist(standard(name)[0], options())


def rows(made: Checklist) -> dict[str, Row]:
    return {row.id: row for row in made.rows}


@pytest.mark.parametrize("name", ["form", "form-breaks", "form-lost", "keeps"])
def test_every_line_is_there_in_the_order_of_the_form(name: str) -> None:
    assert [row.id for row in form(name).rows] == LINES


def test_the_source_form_has_24_boxes_and_these_blanks() -> None:
    made = form("form-lost")

    assert sum(1 for row in made.rows if row.ticked is not None) == 24
    assert [len(row.blanks) for row in made.rows if row.blanks] == [1, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("name", ["form-lost", "keeps"])
def test_boxes_start_empty_and_nothing_is_filled_in_that_was_not_measured(name: str) -> None:
    made = form(name)

    assert [row.id for row in made.rows if row.ticked] == []
    if name == "form-lost":
        assert [blank.value.en for row in made.rows for blank in row.blanks if blank.value.en] == []


def test_a_declaration_ticks_no_box_and_is_held_against_the_measurement() -> None:
    row = rows(form("form-breaks"))["CK-2"]

    assert (row.declared.en, row.measured.en, row.verdict.en, row.ticked) == ("yes", "no", "fail", False)
    assert "the declaration is contradicted by the measurement" in [remark.en for remark in row.remarks]


def test_both_of_two_exclusive_alternatives_make_the_form_invalid() -> None:
    both = [row.id for row in form("form").rows if any("both of two" in remark.en for remark in row.remarks)]
    neither = [row.id for row in form("form-breaks").rows if any("neither" in remark.en for remark in row.remarks)]

    assert both == ["CK-4"]
    assert neither == ["CK-4", "CK-7"]


def test_unimportant_data_of_a_sensitive_host_is_noted() -> None:
    row = rows(form("form-breaks"))["CK-8.2"]

    assert row.declared.en == "yes"
    assert row.ticked is False
    assert [remark.en for remark in row.remarks] == ["the registered data class is sensitive: backups cannot be waived"]


def test_one_other_measure_is_enough_though_another_of_them_fails() -> None:
    from tutela.assess import assess
    from tutela.cli.options import read_rulebook
    from tutela.collect.archive import read_bundle
    from tutela.library import load_content
    from tutela.site import Site

    example = read_bundle(Path(__file__).parents[2] / "examples" / "debian-12.bundle")
    # Its PAM stack asks no code of who has none, so whoever has a password needs one before keys alone open it.
    files = example.sources[FILES]
    enrolled = Evidence(FILES, files.status, files.content + b"\n400 1000 1000 1795161600 /home/ops/.google_authenticator", files.rc)
    one = assess(replace(example, sources=example.sources | {FILES: enrolled}), read_rulebook(None, Site(), load_content()), Site())
    assert {verdict.check.catalogue: verdict.result for verdict in one.verdicts}["H-034"] is Outcome.FAIL

    row = next(row for row in checklist(one, options()).rows if row.id == "CK-4.4")

    assert (row.ticked, row.blanks[0].value.en, row.measured.en, row.verdict.en, row.tone, row.remarks) == (True, "keys only", "yes", "pass", "good", ())


def test_every_evidence_number_leads_to_a_digest() -> None:
    made = form("form")

    used = {number for row in made.rows for number in row.evidence}
    assert used == set(range(1, len(made.evidence) + 1))
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", ref.digest) for ref in made.evidence)


def test_evidence_numbers_are_listed_as_ranges() -> None:
    assert ranges((1, 2, 3, 7, 9, 10)) == "E1–E3, E7, E9–E10"


@dataclass
class Port:
    port: int
    process: Any = None
    unit: str | None = None
    protocol: str = "tcp"
    address: str = "0.0.0.0"
    local: bool = False
    classes: Any = ("external",)
    sources: Any = ()
    approved: bool = False
    application: str | None = None
    via: str = "socket"


@dataclass
class Some:
    """A fact of which only these attributes matter."""

    ports: Any = ()
    targets: Any = ()
    jobs: Any = ()


@dataclass
class Target:
    host: str
    port: int | None = None
    remote: bool = True


@dataclass
class Job:
    job: str
    tool: str
    target: str
    enabled: Any = True


class FakeLook:
    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = {parser(name): value for name, value in facts.items()}

    def fact(self, parse: Any) -> Any:
        return self.facts.get(parse, UNSEEN)


def filled(**facts: Any) -> Checklist:
    return checklist(replace(standard("form")[0], look=FakeLook(facts)), options())  # type: ignore[arg-type]


def test_ports_stand_with_their_applications_and_loopback_is_left_out() -> None:
    made = filled(
        exposure=Some(
            ports=(
                Port(22, "sshd", sources=("192.0.2.0/28", "198.51.100.7/32")),
                Port(80, "nginx", approved=True, application="Web site"),
                Port(80, "nginx", address="::", approved=True, application="Web site"),
                Port(443, UNSEEN, classes=UNSEEN),
                Port(3306, "mariadbd", local=True, classes=("loopback",), address="127.0.0.1"),
                Port(53, "named", protocol="udp"),
            )
        )
    )

    lines = [([blank.value.en for blank in row.blanks], row.declared.en, row.verdict.en) for row in made.rows if row.id == "CK-3.1"]
    assert lines == [(["22", "sshd"], "—", "fail"), (["80", "Web site"], "Web site", "pass"), (["443", ""], "—", "unknown")]
    assert rows(made)["CK-6.1"].blanks[0].value.en == "mariadbd 127.0.0.1:3306"


def test_addresses_repeat_and_everyone_is_no_restriction() -> None:
    four = filled(exposure=Some(ports=(Port(22, "sshd", sources=("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32")),)))
    everyone = filled(exposure=Some(ports=(Port(22, "sshd", sources=("0.0.0.0/0",)),)))

    assert [row.blanks[0].value.en for row in four.rows if row.depth == 2] == [f"192.0.2.{n}/32" for n in (1, 2, 3, 4)]
    assert (rows(everyone)["CK-4.1a"].ticked, rows(everyone)["CK-4.1a"].tone) == (False, "bad")


def test_log_servers_in_effect_stand_beside_the_declared_one() -> None:
    made = filled(log_forwarding=Some(targets=(Target("192.0.2.50", 514), UNSEEN, Target("127.0.0.1", remote=False))))

    assert (rows(made)["CK-5.1"].blanks[0].value.en, rows(made)["CK-5.1"].declared.en) == ("192.0.2.50:514", "192.0.2.50")


def test_backup_jobs_that_run_fill_the_blank() -> None:
    jobs = (Job("site.timer", "restic", "sftp:192.0.2.60"), Job("old.timer", "rsync", "", enabled=False), UNSEEN)
    made = filled(backups=Some(jobs=jobs))

    assert rows(made)["CK-8.1"].blanks[0].value.en == "restic site.timer → sftp:192.0.2.60"


# The documents.


def document(name: str, lang: Lang, form: str) -> bytes:
    return b"".join(FORMATS[form].render(standard(name), lang, options()))  # type: ignore[arg-type]


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("name", ["form", "form-breaks", "form-lost", "form-hostile"])
def test_docx_opens_and_says_what_the_form_says(name: str, lang: Lang) -> None:
    import docx

    raw = document(name, lang, "checklist.docx")
    made = form(name)
    read = docx.Document(io.BytesIO(raw))
    table = read.tables[0]

    assert raw == document(name, lang, "checklist.docx")
    assert [row.cells[3].text for row in table.rows[1:]] == [row.verdict.in_(lang) for row in made.rows]
    xml = zipfile.ZipFile(io.BytesIO(raw)).read("word/document.xml").decode()
    assert xml.count("checkbox>") == 2 * sum(1 for row in made.rows if row.ticked is not None)
    assert xml.count('checked w14:val="1"') == sum(1 for row in made.rows if row.ticked)
    assert 'w:eastAsia="Microsoft YaHei"' in zipfile.ZipFile(io.BytesIO(raw)).read("word/styles.xml").decode()
    assert "<script>" not in xml
    assert [char for char in xml if not char.isprintable() and char not in "\r\n"] == []


def _has_chinese_font() -> bool:
    import typst

    return bool(set(CHINESE_FONTS) & set(typst.Fonts().families()))


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("name", ["form", "form-hostile"])
def test_pdf_is_archival_and_the_same_bytes_twice(name: str, lang: Lang) -> None:
    if lang is Lang.ZH and not _has_chinese_font():
        pytest.skip("no Chinese font here")
    raw = document(name, lang, "checklist.pdf")

    assert raw == document(name, lang, "checklist.pdf")
    assert raw.startswith(b"%PDF-1.")
    assert b"<pdfaid:part>2</pdfaid:part>" in raw
    assert b"/JavaScript" not in raw


def test_a_long_word_of_a_host_may_break_in_pdf_even_between_short_ones() -> None:
    """A source such as `systemctl show -p A,B,C… unit` would run over the columns beside it, and off the page."""
    import typst

    drawing = (resources.files("tutela") / "report" / "checklist.typ").read_text("utf-8")
    functions = "\n".join(line for line in drawing.split("\n") if line.startswith(("#let soft", "#let plain")))
    asked = '#assert(plain("show -p " + "A," * 40 + " ssh.service").matches("\\u{200b}").len() > 70)\n#assert(plain("show -p ssh") == "show -p ssh")'

    assert typst.compile(f"{functions}\n{asked}\n".encode()).startswith(b"%PDF-")


def test_pdf_without_a_chinese_font_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    import typst

    real = typst.Fonts

    monkeypatch.setattr(typst, "Fonts", lambda: real(include_system_fonts=False))

    with pytest.raises(UsageError, match="fonts-noto-cjk"):
        document("form", Lang.ZH, "checklist.pdf")
    assert document("form", Lang.EN, "checklist.pdf").startswith(b"%PDF-")


@pytest.mark.parametrize("form", ["checklist.docx", "checklist.pdf"])
def test_several_forms_fit_into_one_document(form: str) -> None:
    both = b"".join(FORMATS[form].render((*standard("form"), *standard("form-breaks")), Lang.EN, options()))  # type: ignore[arg-type]

    assert len(both) > len(document("form", Lang.EN, form))


def test_a_missing_library_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutela.report.find_spec", lambda name: None)

    with pytest.raises(UsageError, match=r"pip install python-docx typst"):
        FORMATS["checklist.pdf"].render(standard("form"), Lang.EN, options())
