"""Read agreements, profiles and tables. Raises ContentError with file:line:column."""

from __future__ import annotations

from typing import Any

from tutela.agreement.model import Agreement, Clause, Implementation, Party, Profile, Row, Table
from tutela.checks import Severity
from tutela.documents import Document, Node

KINDS = ("MC", "CM", "CLK", "WF", "DOC", "KPI", "GOV", "INT", "REF")
EVIDENCE = ("E-CFG", "E-CMD", "E-MEAS", "E-DOC", "E-LOG", "E-TKT", "E-KPI")

_CLAUSE_KEYS = frozenset(
    [
        "id",
        "section",
        "party",
        "kind",
        "title",
        "demand",
        "implementation",
        "checks",
        "severity",
        "recommended",
        "evidence",
        "clocks",
        "kpis",
        "conflicts",
        "derived",
        "attestation",
        "controls",
    ]
)


def read_agreement(document: Document, digest: str) -> Agreement:
    """The agreement edition that a document describes."""
    root = document.root.mapping(known=frozenset({"schema", "id", "edition", "title", "parties", "clauses"}))
    root.get("schema").one_of(("tutela/agreement/1",))
    clauses: dict[str, Clause] = {}
    for node in root.get("clauses").each():
        clause = _clause(node)
        if clause.id in clauses:
            node.get("id").wrong("条款编号重复", "this clause id occurs twice")
        clauses[clause.id] = clause
    if not clauses:
        root.get("clauses").wrong("协议没有任何条款", "an agreement without clauses promises nothing")
    return Agreement(
        id=root.get("id").text(),
        edition=root.get("edition").text(),
        title=root.get("title").both(),
        parties={name: node.both() for name, node in root.get("parties").items()},
        clauses=tuple(clauses.values()),
        digest=digest,
    )


def _clause(node: Node) -> Clause:
    node.mapping(known=_CLAUSE_KEYS)
    checks = node.get("checks", []).texts()
    implementation = Implementation(node.get("implementation").one_of(tuple(Implementation)))
    if implementation is Implementation.AUTOMATIC and not checks:
        node.wrong("automatic 条款至少要有一项检查", "an automatic clause has at least one check")
    return Clause(
        id=node.get("id").text(),
        section=node.get("section").both(),
        party=Party(node.get("party").one_of(tuple(Party))),
        kind=tuple(item.one_of(KINDS) for item in node.get("kind").each()),
        title=node.get("title").both(),
        demand=node.get("demand").both(),
        implementation=implementation,
        severity=Severity(node.get("severity").one_of(tuple(Severity))),
        checks=checks,
        recommended=node.get("recommended", False).boolean(),
        evidence=tuple(item.one_of(EVIDENCE) for item in node.get("evidence", []).each()),
        clocks=node.get("clocks", []).texts(),
        kpis=node.get("kpis", []).texts(),
        conflicts=node.get("conflicts", []).texts(),
        derived=node.get("derived", []).texts(),
        attestation=dict(node.get("attestation").mapping(known=frozenset({"form", "valid_days"})).data) if node.has("attestation") else None,
        controls={name: value.texts() for name, value in node.get("controls", {}).items()},
    )


def read_profile(document: Document) -> Profile:
    """The profile that a document describes."""
    root = document.root.mapping(known=frozenset({"schema", "id", "title", "level", "agreements", "default", "params", "severities"}))
    root.get("schema").one_of(("tutela/profile/1",))
    agreements = tuple((node.get("id").text(), node.get("edition").text()) for node in root.get("agreements").each())
    if not agreements:
        root.get("agreements").wrong("没有选择任何协议", "it selects no agreement")
    params: dict[str, dict[str, Any]] = {check: {name: value.data for name, value in values.items()} for check, values in root.get("params", {}).items()}
    return Profile(
        id=root.get("id").text(),
        title=root.get("title").both(),
        level=root.get("level").integer(),
        agreements=agreements,
        default=root.get("default", False).boolean(),
        params=params,
        severities={check: Severity(node.one_of(tuple(Severity))) for check, node in root.get("severities", {}).items()},
    )


def read_table(document: Document) -> Table:
    """The table that a document describes."""
    root = document.root.mapping(known=frozenset({"schema", "id", "title", "rows"}))
    root.get("schema").one_of(("tutela/table/1",))
    rows = []
    for node in root.get("rows").each():
        node.mapping(known=frozenset({"id", "title", "text", "clauses", "values"}))
        rows.append(
            Row(
                id=node.get("id").text(),
                title=node.get("title").both(),
                text=node.get("text").both(),
                clauses=node.get("clauses", []).texts(),
                values=dict(node.get("values", {}).mapping().data),
            )
        )
    return Table(root.get("id").text(), root.get("title").both(), tuple(rows))
