"""Prometheus text format, for the textfile collector of the node exporter.

Source: Prometheus exposition formats, text format 0.0.4.
Labels carry no foreign text but the subject's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tutela.assess.assessment import Assessment
from tutela.checks import Outcome
from tutela.language import Lang
from tutela.report.findings import Headline, headline, unreachable
from tutela.report.inert import inert
from tutela.report.options import Options

Sample = tuple[dict[str, str], float]


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """All families; of two looks at one subject the newer counts, since a series may stand only once."""
    del lang, options
    newest: dict[str, Assessment] = {}
    for one in sorted(assessments, key=lambda one: one.bundle.collected_at):
        newest[inert(one.subject)] = one
    mine = sorted(newest.items())
    yield from _family("tutela_info", "What was judged.", [(_info(one) | {"subject": name}, 1) for name, one in mine])
    yield from _family(
        "tutela_headline",
        "1 for the headline that holds.",
        [({"subject": name, "headline": word.value}, int(headline(one) is word)) for name, one in mine for word in Headline],
    )
    yield from _family("tutela_reachable", "Whether somebody could look.", [({"subject": name}, int(unreachable(one) is None)) for name, one in mine])
    yield from _family(
        "tutela_checks",
        "Checks by result and severity.",
        [
            ({"subject": name, "result": word, "severity": severity}, count)
            for name, one in mine
            for word, row in one.summary.results.items()
            for severity, count in row.items()
        ],
    )
    yield from _family(
        "tutela_undecided_ratio",
        "Share of applicable checks without a verdict.",
        [({"subject": name}, one.summary.unknown_percent / 100) for name, one in mine],
    )
    yield from _family(
        "tutela_clauses",
        "Clauses by whose duty they are and how they stand.",
        [({"subject": name} | key, count) for name, one in mine for key, count in _clauses(one)],
    )
    yield from _family(
        "tutela_open",
        "1 for each check that fails or is unknown and is not waived.",
        [
            ({"subject": name, "check": verdict.check.id, "result": verdict.result.value, "severity": verdict.severity.value}, 1)
            for name, one in mine
            for verdict in one.verdicts
            if verdict.result in (Outcome.FAIL, Outcome.UNKNOWN) and verdict.waived_by is None
        ],
    )
    yield from _family(
        "tutela_own_parameter",
        "Parameters of checks that the site sets otherwise than they would be.",
        [({"subject": name, "check": own.check.id, "parameter": own.name}, 1) for name, one in mine for own in one.rulebook.overrides],
    )
    yield from _family(
        "tutela_oldest_datum_timestamp_seconds",
        "When the oldest datum used was collected.",
        [({"subject": name}, one.summary.oldest_datum.timestamp()) for name, one in mine],
    )
    yield from _family("tutela_judged_timestamp_seconds", "When it was judged.", [({"subject": name}, one.judged_at.timestamp()) for name, one in mine])


def _info(one: Assessment) -> dict[str, str]:
    agreements = ",".join(f"{agreement.id} {agreement.edition}" for agreement in one.rulebook.agreements)
    return {"agreements": agreements, "profiles": ",".join(profile.id for profile in one.rulebook.profiles), "probe": inert(one.bundle.probe)}


def _clauses(one: Assessment) -> list[tuple[dict[str, str], int]]:
    counted = Counter((clause.clause.party.value, clause.standing.value) for clause in one.clauses)
    return [({"party": party, "standing": standing}, count) for (party, standing), count in sorted(counted.items())]


def _family(name: str, text: str, samples: Sequence[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        words = ",".join(f'{key}="{_label(word)}"' for key, word in sorted(labels.items()))
        yield f"{name}{{{words}}} {value:.15g}\n"


def _label(words: str) -> str:
    return words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
