"""Documents say what is there: links lead somewhere, words are in the glossary, examples are read by the program."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import pytest
import yaml

from tutela import checks, evidence
from tutela.agreement.model import Implementation, Party
from tutela.assess import Standing
from tutela.checks import Outcome, Severity
from tutela.evidence import Bundle, Reason, Status
from tutela.evidence.bundle import MAX_BUNDLE_BYTES, MAX_NAME_BYTES, MAX_SOURCES
from tutela.report.findings import Headline
from tutela.site import ApprovedPort, Attestation, DataSet, Waiver, read_site
from tutela.site.model import Accounts, Networks
from tutela.site.read import _PER_HOST, _READERS

ROOT = Path(__file__).resolve().parents[2]


def _documents() -> list[Path]:
    """Markdown files that belong to the project: what git tracks or would track; all of them outside a clone."""
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"]
    try:
        said = subprocess.run(argv, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return sorted(path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))
    return sorted(path for name in said.split("\0") if name and (path := ROOT / name).exists())


DOCUMENTS = _documents()
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def _prose(text: str) -> str:
    """The text without code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def _anchors(path: Path) -> set[str]:
    """Anchors of the headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@each_document
def test_relative_links_lead_to_something(path: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _prose(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


@each_document
def test_documents_know_nothing_of_the_place_they_were_written_at(path: Path) -> None:
    # What the program prints may name root's home on the host it speaks of.
    text = re.sub(r"<!-- output:start -->.*?<!-- output:end -->", "", path.read_text("utf-8"), flags=re.DOTALL)
    found = [word for word in _OF_THE_PLACE if re.search(word, text, re.IGNORECASE)]

    assert found == []


_OF_THE_PLACE = (
    r"/work\b",
    r"/root/",
    r"/home/(?!\*)",
    r"\bsub-?agents?\b",
    r"\blanguage model",
    r"\bLLMs?\b",
    r"\bhelper session",
    r"\bcatalogue\.md\b",
    r"\b(design|style|stack|hosts|lessons)\.md\b",
    r"\b(pypi\.org|files\.pythonhosted|registry\.npmjs)",
)


@each_document
def test_documents_are_plain_text(path: Path) -> None:
    raw = path.read_bytes()
    text = raw.decode("utf-8")

    assert b"\r" not in raw
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert [number for number, line in enumerate(text.split("\n"), 1) if line != line.rstrip()] == []


def test_every_decision_is_listed_and_numbered_in_order() -> None:
    folder = ROOT / "docs" / "adr"
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (folder / "README.md").read_text("utf-8"))

    assert files == listed
    assert [f"{number:04d}" for number in range(1, len(files) + 1)] == [name[:4] for name in files]


def test_every_decision_has_context_decision_and_consequences() -> None:
    for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")):
        text = path.read_text("utf-8")

        assert text.startswith(f"# {path.name[:4]}: "), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name


WORDS: tuple[type[StrEnum], ...] = (Standing, Outcome, Status, evidence.Vantage, checks.Vantage, Severity, Party, Implementation, Reason, Headline)


@pytest.mark.parametrize("words", WORDS, ids=lambda words: f"{words.__module__}.{words.__name__}")
def test_words_that_reach_a_file_are_in_the_glossary(words: type[StrEnum]) -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    first_cells = "\n".join(re.findall(r"^\| ([^|]*) \|", glossary, re.MULTILINE))

    assert [word.value for word in words if f"`{word.value}`" not in first_cells] == []


def test_glossary_rows_are_complete_in_both_languages() -> None:
    rows = [line for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").split("\n") if line.startswith("| ")]
    torn = [row for row in rows if len(cells := row.strip("|").split("|")) != 4 or not all(cell.strip() for cell in cells)]

    assert torn == []


def test_both_readmes_have_the_same_parts_in_the_same_order() -> None:
    shapes = []
    for name in ("README.md", "README.zh.md"):
        text = (ROOT / name).read_text("utf-8")
        marks = re.findall(r"^(#+) |^(```\w+)|^<!-- (\S+) -->|^(\|)|^(- )", _without_generated(text), re.MULTILINE)
        shapes.append(["".join(mark) for mark in marks])

    assert shapes[0] == shapes[1]


def test_both_readmes_show_the_same_commands_and_links() -> None:
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))

    assert _links(english) == _links(chinese)
    assert _commands(english) == _commands(chinese)


def _without_generated(text: str) -> str:
    return re.sub(r"(<!-- (\w+):start -->\n).*?(<!-- \2:end -->)", r"\1\3", text, flags=re.DOTALL)


def _links(text: str) -> list[str]:
    return sorted(link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("README"))


def _commands(text: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    listed = re.findall(r"`((?:sudo )?\./[^`]+)`", text)
    return [*(re.sub(r"\s+# .*|git clone \S+", "", line) for block in blocks for line in block.split("\n")), *listed]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "spec").glob("*.md")), ids=lambda path: path.stem)
def test_yaml_in_the_formats_is_yaml(path: Path) -> None:
    for block in _blocks(path, "yaml"):
        yaml.safe_load(block)


def test_the_site_file_in_its_format_is_read_and_shows_every_key() -> None:
    path = ROOT / "docs" / "spec" / "site.md"
    [example] = _blocks(path, "yaml site")

    site = read_site(example.encode(), "site.md")

    declared = yaml.safe_load(example)
    assert sorted(set(_READERS) - set(declared)) == []
    assert site.waivers and site.attestations and site.hosts


def test_every_key_of_the_site_file_is_described() -> None:
    assert [name for name in _READERS if f"`{name}`" not in _site_keys()] == []


@pytest.mark.parametrize("kind", [Networks, ApprovedPort, Accounts, DataSet, Waiver, Attestation], ids=lambda kind: kind.__name__)
def test_every_key_of_its_parts_is_described(kind: type) -> None:
    assert [field.name for field in fields(kind) if f"`{field.name}`" not in _site_keys()] == []


def _site_keys() -> str:
    """The description of the site file without its examples."""
    return re.sub(r"^```.*?^```", "", (ROOT / "docs" / "spec" / "site.md").read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_keys_that_may_differ_from_host_to_host_are_listed() -> None:
    last = (ROOT / "docs" / "spec" / "site.md").read_text("utf-8").rstrip().split("\n")[-1]

    assert sorted(_PER_HOST) == sorted(re.findall(r"`(\w+)`", last))


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_site_file_in_the_readme_is_read(name: str) -> None:
    [example] = _blocks(ROOT / name, "yaml")

    assert read_site(example.encode(), name).waivers


def test_the_bundle_in_its_format_is_read() -> None:
    [example] = _blocks(ROOT / "docs" / "spec" / "bundle.md", "bundle")

    bundle = Bundle.from_bytes(example.encode())

    assert [(one.name, one.status, one.content) for one in bundle.sources.values()] == [
        ("/etc/hostname", Status.OK, b"web1"),
        ("nft -j list ruleset", Status.ABSENT, b""),
    ]


def test_limits_of_a_bundle_are_those_of_the_program() -> None:
    text = (ROOT / "docs" / "spec" / "bundle.md").read_text("utf-8")

    assert f"| canonical bytes | {MAX_BUNDLE_BYTES >> 20} MiB |" in text
    assert f"| sources | {MAX_SOURCES:,} |" in text
    assert f"| name | {MAX_NAME_BYTES} bytes |" in text


def test_the_shell_recipe_of_the_readme_makes_a_bundle() -> None:
    """With a probe that says nothing in place of the real one: the header has to be canonical."""
    for name in ("README.md", "README.zh.md", "docs/spec/bundle.md"):
        [recipe] = [block for block in _blocks(ROOT / name, "sh") if "tutela-bundle" in block]
        recipe = re.sub(r"^\s+(curl .*|sh probe\.sh)$", "  echo end", recipe, flags=re.MULTILINE).replace("> host.bundle", "")
        recipe = recipe.replace("$(hostname)", "web1.example")

        made = subprocess.run(["sh", "-c", recipe], capture_output=True, check=True).stdout

        assert Bundle.from_bytes(made).subject == "web1.example"


def test_changelog_fragments_have_a_slug_and_a_kind() -> None:
    folder = ROOT / "changelog.d"
    kinds = set(re.findall(r"^\| `(\w+)` \|", (folder / "README.md").read_text("utf-8"), re.MULTILINE))
    wrong = [
        path.name
        for path in folder.iterdir()
        if path.name != "README.md" and not ((found := re.fullmatch(r"[a-z0-9-]+\.(\w+)\.md", path.name)) and found[1] in kinds)
    ]

    assert wrong == []


def test_every_never_collect_code_of_a_check_is_in_the_threat_model() -> None:
    from tests.scenes import content

    model = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    known = set(re.findall(r"^\| (NC\d+) \|", model, re.MULTILINE))

    assert {f"NC{number}" for number in range(1, 11)} == known
    assert {code for check in content().checks.values() for code in check.never_collect} - known == set()


def test_every_room_stands_in_contributing() -> None:
    told = set(
        re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("\n") if line.startswith("| `")))
    )
    rooms = {path.parent.name for path in (ROOT / "src" / "tutela").glob("*/__init__.py")} | {"content"}

    assert rooms <= told


def test_every_optional_library_is_trusted_openly() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    trusted = (ROOT / "docs" / "threat-model.md").read_text("utf-8")

    libraries = {re.split(r"[><=]", one)[0] for needed in extras.values() for one in needed}
    assert {one for one in libraries if one not in trusted} == set()
