"""Read a check file. Raises ContentError with file:line:column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tutela.checks.model import Check, Condition, Expectation, Group, Items, Leaf, Outcome, Param, Result, Rule, Scalar, Severity, Value, Vantage
from tutela.documents import Document, Node
from tutela.evidence import Reason

SCHEMA = "tutela/check/1"
STATES = ("empty", "not-empty", "true", "false", "absent", "present")
SCALAR_PREDICATES = ("equals", "not_equals", "at_least", "at_most", "contains", "like")
LIST_PREDICATES = ("in", "not_in", "contains_any", "contains_all", "within")
PREDICATES = ("is", *SCALAR_PREDICATES, *LIST_PREDICATES)
ROOTS = frozenset({"site", "profile", "param"})
PARAM_TYPES: dict[str, Any] = {"integer": int, "number": (int, float), "text": str, "boolean": bool, "texts": list}

_KEYS = frozenset(
    [
        "schema",
        "id",
        "catalogue",
        "clauses",
        "severity",
        "title",
        "why",
        "remedy",
        "never_collect",
        "incident",
        "vantage",
        "params",
        "not_applicable",
        "unknown",
        "expect",
        "severity_rules",
        "notes",
    ]
)
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read_check(document: Document, subject: str, known_facts: frozenset[str]) -> Check:
    """The check that a document describes."""
    root = document.root.mapping(known=_KEYS)
    root.get("schema").one_of((SCHEMA,))
    if not _ID.fullmatch(root.get("id").text()):
        root.get("id").wrong("应为小写字母、数字和连字符", "lower-case letters, digits and hyphens are expected")
    params = {name: _param(node) for name, node in root.get("params", {}).items()}
    reader = _Conditions(params, known_facts)
    expect = tuple(_expectation(node, reader) for node in root.get("expect").each())
    if not expect:
        root.get("expect").wrong("没有任何期望：空检查永远会通过", "no expectation: an empty check would always pass")
    not_applicable = tuple(reader.rule(node, "reason") for node in root.get("not_applicable", []).each())
    unknown = tuple(reader.rule(node, "reason", coded=True) for node in root.get("unknown", []).each())
    severity_rules = tuple(reader.rule(node, "severity") for node in root.get("severity_rules", []).each())
    notes = tuple(reader.rule(node, "note") for node in root.get("notes", []).each())
    return Check(
        id=root.get("id").text(),
        catalogue=root.get("catalogue").text() if root.has("catalogue") else None,
        subject=subject,
        clauses=root.get("clauses", []).texts(),
        severity=Severity(root.get("severity").one_of(tuple(Severity))),
        title=root.get("title").both(),
        why=root.get("why").both(),
        remedy=root.get("remedy").both(),
        never_collect=root.get("never_collect", []).texts(),
        incident=root.get("incident", False).boolean(),
        vantage=Vantage(root.get("vantage", "host").one_of(tuple(Vantage))),
        params=params,
        expect=expect,
        not_applicable=not_applicable,
        unknown=unknown,
        severity_rules=severity_rules,
        notes=notes,
        facts=tuple(sorted(reader.facts)),
        checks=tuple(sorted(reader.checks)),
        file=document.file,
    )


def _param(node: Node) -> Param:
    node.mapping(known=frozenset({"type", "default", "derived", "stricter"}))
    kind = node.get("type").one_of(PARAM_TYPES)
    return Param(
        type=kind,
        default=param_value(node.get("default"), kind),
        derived=node.get("derived").text() if node.has("derived") else None,
        stricter=node.get("stricter").one_of(("higher", "lower")) if node.has("stricter") else None,
    )


def param_value(node: Node, kind: str) -> Scalar | tuple[Scalar, ...]:
    """A parameter's value of the right type."""
    value = node.data
    if not isinstance(value, PARAM_TYPES[kind]) or (kind in ("integer", "number") and isinstance(value, bool)):
        node.wrong(f"应为 {kind}", f"{kind} is expected")
    return node.texts() if kind == "texts" else value


def _expectation(node: Node, reader: _Conditions) -> Expectation:
    if not isinstance(node.data, dict):
        node.mapping()
    label = node.get("label").both()
    return Expectation(reader.condition(node, extra=frozenset({"label"})), label)


class _Conditions:
    """Reads conditions and remembers which facts and checks they mention."""

    def __init__(self, params: dict[str, Param], known_facts: frozenset[str]) -> None:
        self.params = params
        self.known_facts = known_facts
        self.facts: set[str] = set()
        self.checks: set[str] = set()

    def rule(self, node: Node, word: str, *, coded: bool = False) -> Rule:
        node.mapping(known=frozenset({"if", word, "code"} if coded else {"if", word}))
        condition = self.condition(node.get("if"))
        if word == "severity":
            return Rule(condition, severity=Severity(node.get("severity").one_of(tuple(Severity))))
        code = Reason(node.get("code").one_of(tuple(Reason))) if coded else None
        return Rule(condition, text=node.get(word).both(), code=code)

    def condition(self, node: Node, *, inside: bool = False, extra: frozenset[str] = frozenset()) -> Condition:
        node.mapping()
        keys = [key for key in node.data if key not in extra]
        if "path" in keys:
            return self._leaf(node.mapping(known=frozenset({"path", *PREDICATES}) | extra), keys, inside)
        for quantifier in ("no", "some"):
            if quantifier in keys:
                node.mapping(known=frozenset({quantifier, "where", "show"}) | extra)
                where = self.condition(node.get("where"), inside=True) if node.has("where") else None
                return Items(quantifier, self._path(node.get(quantifier), inside), where, node.get("show", []).texts())
        for kind in ("all", "any"):
            if kind in keys:
                node.mapping(known=frozenset({kind}) | extra)
                parts = tuple(self.condition(part, inside=inside) for part in node.get(kind).each())
                if not parts:
                    node.get(kind).wrong("空的组合没有意义", "an empty combination means nothing")
                return Group(kind, parts)
        if "not" in keys:
            node.mapping(known=frozenset({"not"}) | extra)
            return Group("not", (self.condition(node.get("not"), inside=inside),))
        if "check" in keys:
            node.mapping(known=frozenset({"check", "result"}) | extra)
            self.checks.add(node.get("check").text())
            return Result(node.get("check").text(), tuple(Outcome(item.one_of(tuple(Outcome))) for item in node.get("result").each()))
        node.wrong("条件应含 path、no、some、all、any、not 或 check", "a condition has path, no, some, all, any, not or check")

    def _leaf(self, node: Node, keys: list[str], inside: bool) -> Leaf:
        predicates = [key for key in keys if key != "path"]
        if len(predicates) != 1:
            node.wrong("path 之外须恰有一个谓词", "exactly one predicate beside path")
        predicate = predicates[0]
        value_node = node.get(predicate)
        if predicate == "is":
            state = {True: "true", False: "false"}.get(value_node.data, value_node.data) if isinstance(value_node.data, bool) else value_node.data
            if state not in STATES:
                value_node.one_of(STATES)
            value = Value(literal=state)
        else:
            value = self._value(value_node, predicate, inside)
        return Leaf(self._path(node.get("path"), inside), predicate, value)

    def _value(self, node: Node, predicate: str, inside: bool) -> Value:
        data: Any = node.data
        if isinstance(data, dict):
            node.mapping(known=frozenset({"param", "path"}))
            if node.has("param"):
                name = node.get("param").one_of(tuple(self.params))
                return Value(param=name)
            return Value(path=self._path(node.get("path"), inside))
        if predicate in LIST_PREDICATES:
            return Value(literal=tuple(item.data for item in node.each()))
        if isinstance(data, list):
            node.wrong("这里应为单个值", "a single value is expected here")
        return Value(literal=data)

    def _path(self, node: Node, inside: bool) -> str:
        path = node.text()
        if path.startswith("."):
            if not inside:
                node.wrong("以点开头的路径只能用在 where 里", "a path with a leading dot belongs inside `where`")
            return path
        root = path.partition(".")[0]
        if root not in ROOTS:
            if root not in self.known_facts:
                near = ", ".join(sorted(self.known_facts | ROOTS))
                node.wrong(f"没有名为 {root!r} 的事实；可用：{near}", f"there is no fact called {root!r}; known are: {near}")
            self.facts.add(root)
        return path


def conditions_of(check: Check) -> Iterator[Condition]:
    """Every condition of a check, the inner ones too."""
    todo: list[Condition] = [e.condition for e in check.expect]
    todo += [rule.condition for rules in (check.not_applicable, check.unknown, check.severity_rules, check.notes) for rule in rules]
    while todo:
        condition = todo.pop()
        yield condition
        if isinstance(condition, Group):
            todo += condition.parts
        elif isinstance(condition, Items) and condition.where is not None:
            todo.append(condition.where)
