from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from tests.report.standard import options, standard
from tutela.language import Lang, Text
from tutela.report import FORMATS
from tutela.report.markup import el

VOID = {"meta", "br", "hr"}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.style = ""
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        given = dict(attrs)
        if "href" in given:
            self.links.append(given["href"] or "")
        if "id" in given:
            self.ids.append(given["id"] or "")
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data


def read(name: str, lang: Lang) -> Reader:
    reader = Reader()
    reader.feed("".join(FORMATS["html"].render(standard(name), lang, options())))
    reader.close()
    return reader


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("name", ["keeps", "breaks", "lost", "hostile", "site", "empty"])
def test_every_element_is_closed_and_nothing_is_fetched_or_run(name: str, lang: Lang) -> None:
    page = read(name, lang)

    assert page.open == []
    assert page.tags & {"script", "img", "link", "iframe", "object", "form", "svg", "base"} == set()
    assert [name for name in page.attributes if name.startswith("on") or name in ("style", "src")] == []
    assert all(re.fullmatch(r"#s\d+", link) for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    page = read("hostile", Lang.EN)

    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert page.policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_foreign_text_is_escaped_even_in_attributes() -> None:
    made = el("p", "<b>&\u202e", title='"><script>')

    assert made == '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt;&amp;\\u202e</p>'


def test_a_sentence_without_a_language_is_refused() -> None:
    with pytest.raises(TypeError):
        el("p", Text("中", "en"))


def test_printing_leaves_the_lists_of_evidence_closed() -> None:
    """A bad host has some two thousand sources with their digests; printed, they were two thirds of 126 pages."""
    page = read("breaks", Lang.EN)

    assert "details:not(.evidence)::details-content" in page.style.split("@media print")[1]
    said = "".join(FORMATS["html"].render(standard("breaks"), Lang.EN, options()))
    assert said.count('<details class="evidence"><summary>evidence (') == said.count("<summary>evidence (") > 0


def test_a_fleets_page_lists_evidence_only_when_everything_is_asked_for() -> None:
    pages = ["".join(FORMATS["html"].render(standard("site"), Lang.EN, options(details=details))) for details in (False, True)]  # type: ignore[arg-type]

    assert ['class="evidence"' in page for page in pages] == [False, True]
    assert "The evidence of each host is listed with --all" in pages[0]
