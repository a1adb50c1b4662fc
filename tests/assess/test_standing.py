"""How clauses stand: by checks, by people, under waivers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import scenes
from tests.report import standard
from tutela.agreement import Clause, Implementation
from tutela.agreement.rulebook import Rulebook, resolve
from tutela.assess import Assessment, ClauseStanding, Standing, assess
from tutela.checks import Severity
from tutela.errors import ContentError
from tutela.site.read import read_site

OLD = "ID=debian\nVERSION_ID=10\nPRETTY_NAME='Debian 10'\n"
NEW = "ID=debian\nVERSION_ID=13\nPRETTY_NAME='Debian 13'\n"
CONTENT = scenes.content()
BASE = next(clause for agreement in CONTENT.agreements.values() for clause in agreement.clauses if clause.id == "LB-1.1")
CLAUSE = replace(BASE, checks=("os-supported",), implementation=Implementation.AUTOMATIC)


def rulebook(clause: Clause) -> Rulebook:
    profile = replace(CONTENT.default_profile, params={}, severities={})
    agreement = replace(next(iter(CONTENT.agreements.values())), clauses=(clause,))
    content = replace(CONTENT, agreements=dict.fromkeys(profile.agreements, agreement))
    return resolve(content, (replace(profile, agreements=profile.agreements[:1]),))


def judged(release: str | None, clause: Clause = CLAUSE, **site: Any) -> tuple[Assessment, ClauseStanding]:
    sources = {} if release is None else {"/etc/os-release": release}
    scene = {"sources": sources, "site": site}
    assessment = assess(scenes.bundle(scene, "web1"), rulebook(clause), scenes.site(scene))
    return assessment, assessment.clauses[0]


def waiver(**changes: Any) -> dict[str, Any]:
    return {"target": "H-003", "party": "provider", "reason": "r", "approver": "P", "granted": "2026-11-01", "expires": "2026-12-01"} | changes


@pytest.mark.parametrize(("release", "standing"), [(NEW, Standing.KEPT), (OLD, Standing.BROKEN), (None, Standing.UNPROVEN)])
def test_a_clause_stands_as_its_check_says(release: str | None, standing: Standing) -> None:
    assert judged(release)[1].standing is standing


@pytest.mark.parametrize(("release", "standing"), [(NEW, Standing.UNPROVEN), (OLD, Standing.BROKEN)])
def test_host_checks_can_break_a_measured_clause_but_never_prove_it(release: str, standing: Standing) -> None:
    assert judged(release, replace(CLAUSE, implementation=Implementation.MEASURED))[1].standing is standing


@pytest.mark.parametrize(
    ("expires", "answer", "standing"),
    [("2026-11-22", "yes", Standing.KEPT), ("2026-11-21", "yes", Standing.UNPROVEN), ("2027-01-01", "no", Standing.BROKEN)],
)
def test_people_keep_an_attested_clause_until_the_day_their_evidence_ends(expires: str, answer: str, standing: Standing) -> None:
    clause = replace(CLAUSE, checks=(), implementation=Implementation.ATTESTED)
    lodged = {"clause": CLAUSE.id, "by": "ops", "on": "2026-11-01", "expires": expires, "reference": "T-01", "answer": answer}

    assert judged(NEW, clause, attestations=[lodged])[1].standing is standing
    assert judged(NEW, clause)[1].standing is Standing.UNPROVEN


def test_declared_yes_and_measured_broken_is_a_contradiction() -> None:
    lodged = {"clause": CLAUSE.id, "by": "ops", "on": "2026-11-01", "expires": "2027-01-01", "reference": "T-06"}

    standing = judged(OLD, attestations=[lodged])[1]

    assert (standing.standing, standing.declared, standing.contradicted) == (Standing.BROKEN, "yes", True)


@pytest.mark.parametrize(
    ("changes", "standing", "unused"),
    [
        ({}, Standing.WAIVED, 0),
        ({"target": "os-supported"}, Standing.WAIVED, 0),
        ({"target": "LB-1.1"}, Standing.WAIVED, 0),
        ({"subjects": ["db*"]}, Standing.BROKEN, 0),
        ({"subjects": ["web?"]}, Standing.WAIVED, 0),
        ({"expires": "2026-11-22"}, Standing.WAIVED, 0),
        ({"expires": "2026-11-21"}, Standing.BROKEN, 1),
        ({"granted": "2026-11-23"}, Standing.BROKEN, 1),
    ],
)
def test_a_waiver_holds_for_its_target_subject_and_days(changes: dict[str, Any], standing: Standing, unused: int) -> None:
    assessment, clause = judged(OLD, waivers=[waiver(**changes)])

    assert clause.standing is standing
    assert len(assessment.unused_waivers) == unused


def test_an_owner_alone_cannot_waive_a_critical_check() -> None:
    sources = {"/etc/os-release": OLD}
    book = rulebook(CLAUSE)
    book = replace(book, severities={name: type(severity)("critical") for name, severity in book.severities.items()})
    scene = {"sources": sources, "site": {"waivers": [waiver(party="owner")]}}

    assessment = assess(scenes.bundle(scene, "web1"), book, scenes.site(scene))

    assert assessment.clauses[0].standing is Standing.BROKEN
    assert "owner alone" in assessment.unused_waivers[0].why.en


def test_a_waiver_never_hides_an_unknown() -> None:
    assert judged(None, waivers=[waiver()])[1].standing is Standing.UNPROVEN


def test_every_selected_check_gives_exactly_one_verdict() -> None:
    for assessment in standard.standard("site"):
        ids = [verdict.check.id for verdict in assessment.verdicts]
        assert sorted(ids) == sorted(assessment.rulebook.checks)


def test_the_counts_add_up() -> None:
    for assessment in standard.standard("site"):
        assert sum(sum(counts.values()) for counts in assessment.summary.results.values()) == len(assessment.verdicts)
        assert sum(assessment.summary.standings.values()) == len(assessment.clauses)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("  H-999: {x: 1}", "site.yaml:3:3: parameters.H-999: there is no such check"),
        ("  os-supported:\n    nope: 1", "site.yaml:4:5: parameters.os-supported.nope: os-supported has no such parameter; it has: "),
        ("  H-017:\n    minlen: many", "site.yaml:4:5: parameters.H-017.minlen: integer is expected, not 'many'"),
        ("  H-017: 12", "site.yaml:3:3: parameters.H-017: a mapping is expected"),
        ("  - H-017", "site.yaml:2:1: parameters: a mapping is expected"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_where_it_stands(parameters: str, words: str) -> None:
    with pytest.raises(ContentError) as caught:
        resolve(CONTENT, (CONTENT.default_profile,), read_site(f"schema: tutela/site/1\nparameters:\n{parameters}\n".encode(), "site.yaml").parameters)

    assert str(caught.value).startswith(words)


def test_what_the_site_sets_otherwise_is_named_with_what_would_apply() -> None:
    declared = b"schema: tutela/site/1\nparameters:\n  H-017: {minlen: 1}\n  H-019: {max_days: 90}\n"

    rulebook = resolve(CONTENT, (CONTENT.profiles["enterprise-L3"],), read_site(declared, "site.yaml").parameters)

    assert [(one.check.catalogue, one.name, one.value, one.agreed) for one in rulebook.overrides] == [("H-017", "minlen", 1, 12)]
    assert rulebook.params["password-composition"]["minlen"] == 1


def test_of_a_check_set_by_both_its_names_its_id_decides() -> None:
    declared = b"schema: tutela/site/1\nparameters:\n  H-017: {minlen: 1}\n  password-composition: {minlen: 14}\n"

    rulebook = resolve(CONTENT, (CONTENT.profiles["enterprise-L3"],), read_site(declared, "site.yaml").parameters)

    assert [one.value for one in rulebook.overrides] == [rulebook.params["password-composition"]["minlen"]] == [14]


def test_a_breach_is_as_grave_as_what_fails_not_as_what_could_not_look_beside_it() -> None:
    book = rulebook(replace(CLAUSE, checks=("os-supported", "no-guessable-password"), severity=Severity.CRITICAL))
    book = replace(book, severities=dict(book.severities) | {"os-supported": Severity.MEDIUM})
    scene: dict[str, Any] = {"sources": {"/etc/os-release": OLD}}

    (clause,) = assess(scenes.bundle(scene, "web1"), book, scenes.site(scene)).clauses

    assert (clause.standing, clause.severity) == (Standing.BROKEN, Severity.MEDIUM)
