"""Everything that a judgement needs besides a bundle: what binds a host, resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tutela.agreement.model import Agreement, Clause, Profile, Table
from tutela.checks import Check, Param, Severity
from tutela.checks.read import PARAM_TYPES
from tutela.documents import Document, Node
from tutela.errors import ContentError
from tutela.facts.reference import Reference
from tutela.language import Text
from tutela.record import record


@record
class Content:
    """All shipped and added content, by id."""

    agreements: Mapping[tuple[str, str], Agreement]
    checks: Mapping[str, Check]
    """By check id."""
    profiles: Mapping[str, Profile]
    tables: Mapping[str, Table]
    reference: Reference
    digest: str
    """Of all files: which edition of the content judged."""

    def check(self, name: str) -> Check | None:
        """A check by its id or its catalogue number."""
        return self.checks.get(name) or self.by_catalogue().get(name)

    def by_catalogue(self) -> dict[str, Check]:
        """Checks by catalogue number."""
        return {check.catalogue: check for check in self.checks.values() if check.catalogue}

    @property
    def default_profile(self) -> Profile:
        """The profile that binds when nobody says otherwise."""
        return next(profile for profile in self.profiles.values() if profile.default)


@record
class Override:
    """Override(check=Check(…), name='minlen', value=1, agreed=12): a parameter that the site has set otherwise."""

    check: Check
    name: str
    value: Any
    agreed: Any
    """What would apply by the profiles."""


@record
class Rulebook:
    """What binds one host: clauses, checks, parameters, severities of one or more profiles.

    Where two profiles bind a host the stricter value applies, and `stricter` says so; what the site sets otherwise stands in `overrides`.
    """

    profiles: tuple[Profile, ...]
    agreements: tuple[Agreement, ...]
    clauses: tuple[Clause, ...]
    checks: Mapping[str, Check]
    """By check id, in an order in which composites follow what they rest on."""
    alias: Mapping[str, str]
    """Catalogue number or id -> check id."""
    params: Mapping[str, Mapping[str, Any]]
    severities: Mapping[str, Severity]
    derived: tuple[str, ...]
    """Keys of derived defaults in force."""
    stricter: tuple[Text, ...]
    overrides: tuple[Override, ...]
    content_digest: str
    reference: Reference

    @property
    def level(self) -> int:
        """The highest level of protection that binds."""
        return max(profile.level for profile in self.profiles)


def resolve(content: Content, profiles: tuple[Profile, ...], overrides: Node | None = None) -> Rulebook:
    """Bind `profiles` and a site's parameter overrides, {check: {parameter: value}}, to the content.

    Raises ContentError when they name what does not exist, or a parameter has the wrong type.
    """
    known = _aliases(content)
    for name, node in overrides.items() if overrides is not None else ():
        if name not in known:
            node.wrong("没有这项检查，无法设置其参数", "there is no such check to set parameters of")
    agreements: dict[tuple[str, str], Agreement] = {}
    for profile in profiles:
        for key in profile.agreements:
            if key not in content.agreements:
                name = " ".join(key)
                raise ContentError(Text(f"没有协议 {name}", f"there is no agreement {name}"), file=f"profiles/{profile.id}.yaml")
            agreements[key] = content.agreements[key]
    clauses = tuple(clause for agreement in agreements.values() for clause in agreement.clauses)
    wanted: list[str] = []
    for clause in clauses:
        for name in clause.checks:
            if name not in known:
                raise ContentError(
                    Text(f"条款 {clause.id} 引用了不存在的检查 {name}", f"clause {clause.id} names a check {name} that does not exist"), file=clause.id
                )
            wanted.append(known[name])
    return _bound(content, profiles, tuple(agreements.values()), clauses, wanted, overrides)


def resolve_checks(content: Content, profiles: tuple[Profile, ...], checks: tuple[str, ...], overrides: Mapping[str, Mapping[str, object]]) -> Rulebook:
    """Bind some checks alone, without an agreement; the last of `checks` comes last."""
    return _bound(content, profiles, (), (), list(checks), Document("parameters", overrides, {}).root)


def _aliases(content: Content) -> dict[str, str]:
    return {name: check.id for check in content.checks.values() for name in (check.id, check.catalogue) if name}


def _bound(
    content: Content,
    profiles: tuple[Profile, ...],
    agreements: tuple[Agreement, ...],
    clauses: tuple[Clause, ...],
    wanted: list[str],
    overrides: Node | None,
) -> Rulebook:
    alias = _aliases(content)
    checks = _ordered(wanted, content, alias)
    stricter: list[Text] = []
    agreed = {check.id: _params(check, profiles, stricter) for check in checks.values()}
    own = [one for check in checks.values() for one in _overrides(check, agreed[check.id], overrides)]
    severities = {check.id: _severity(check, profiles) for check in checks.values()}
    used = {param.derived for check in checks.values() for param in check.params.values() if param.derived}
    used |= {key for clause in clauses for key in clause.derived}
    return Rulebook(
        profiles=profiles,
        agreements=agreements,
        clauses=clauses,
        checks=checks,
        alias=alias,
        params={name: values | {one.name: one.value for one in own if one.check.id == name} for name, values in agreed.items()},
        severities=severities,
        derived=tuple(sorted(used)),
        stricter=tuple(stricter),
        overrides=tuple(own),
        content_digest=content.digest,
        reference=content.reference,
    )


def _ordered(wanted: list[str], content: Content, alias: Mapping[str, str]) -> dict[str, Check]:
    """Checks with those they rest on before them. Raises ContentError for a circle."""
    done: dict[str, Check] = {}
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in open_:
            circle = " -> ".join([*open_[open_.index(name) :], name])
            raise ContentError(Text(f"检查互相引用成环：{circle}", f"checks rest on each other in a circle: {circle}"), file=content.checks[name].file)
        open_.append(name)
        check = content.checks[name]
        for other in check.checks:
            if other not in alias:
                raise ContentError(Text(f"引用了不存在的检查 {other}", f"it names a check {other} that does not exist"), file=check.file)
            visit(alias[other])
        open_.pop()
        done[name] = check

    for name in wanted:
        visit(name)
    return done


def _named(check: Check, mapping: Mapping[str, Any]) -> Any:
    return mapping.get(check.id, mapping.get(check.catalogue or ""))


def _params(check: Check, profiles: tuple[Profile, ...], stricter: list[Text]) -> dict[str, Any]:
    """The values that apply by the profiles.

    Raises ContentError.
    """
    for profile in profiles:
        for name in _named(check, profile.params) or {}:
            if name not in check.params:
                raise ContentError(Text(f"检查 {check.id} 没有参数 {name}", f"check {check.id} has no parameter {name}"), file=f"profiles/{profile.id}")
    values: dict[str, Any] = {}
    for name, param in check.params.items():
        offered: dict[str, Any] = {}
        for profile in profiles:
            value: Any = (_named(check, profile.params) or {}).get(name, param.default)
            if not _fits(param, value):
                wrong = Text(
                    f"检查 {check.id} 的参数 {name} 应为 {param.type}，写的是 {value!r}", f"the parameter {name} of {check.id} is {param.type}, not {value!r}"
                )
                raise ContentError(wrong, file=f"profiles/{profile.id}")
            offered[profile.id] = tuple(value) if param.type == "texts" else value
        value = next(iter(offered.values()))
        if any(other != value for other in offered.values()):
            if param.stricter is None:
                raise ContentError(
                    Text(
                        f"检查 {check.id} 的参数 {name} 在各配置档案中不同，却没有说明哪个更严",
                        f"profiles differ in {name} of {check.id}, which does not say what is stricter",
                    ),
                    file=check.file,
                )
            value = (max if param.stricter == "higher" else min)(offered.values())
            listed = ", ".join(f"{profile}: {one}" for profile, one in offered.items())
            stricter.append(Text(f"{check.id}.{name} 取更严的 {value}（{listed}）", f"{check.id}.{name}: the stricter {value} applies ({listed})"))
        values[name] = value
    return values


def _overrides(check: Check, agreed: Mapping[str, Any], overrides: Node | None) -> Iterator[Override]:
    """What the site sets otherwise than it would be.

    Raises ContentError.
    """
    called = next((name for name in (check.id, check.catalogue or "") if overrides is not None and overrides.has(name)), None)
    if overrides is None or called is None:
        return
    for name, node in overrides.get(called).items():
        if name not in check.params:
            listed = ", ".join(check.params) or "-"
            node.wrong(f"检查 {called} 没有这个参数；可用：{listed}", f"{called} has no such parameter; it has: {listed}")
        if node.data is None:
            continue
        param = check.params[name]
        if not _fits(param, node.data):
            node.wrong(f"应为 {param.type}，写的是 {node.data!r}", f"{param.type} is expected, not {node.data!r}")
        value = tuple(node.data) if param.type == "texts" else node.data
        if value != agreed[name]:
            yield Override(check, name, value, agreed[name])


def _fits(param: Param, value: Any) -> bool:
    """Whether a value has the parameter's type."""
    if param.type == "texts":
        return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    return isinstance(value, PARAM_TYPES[param.type]) and (param.type == "boolean" or not isinstance(value, bool))


def _severity(check: Check, profiles: tuple[Profile, ...]) -> Severity:
    offered = [_named(check, profile.severities) or check.severity for profile in profiles]
    return max(offered, key=lambda severity: severity.rank)
