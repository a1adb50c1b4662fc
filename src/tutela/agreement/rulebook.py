"""Everything that a judgement needs besides a bundle: what binds a host, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutela.agreement.model import Agreement, Clause, Profile, Table
from tutela.checks import Check, Param, Severity
from tutela.checks.read import PARAM_TYPES
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
class Rulebook:
    """What binds one host: clauses, checks, parameters, severities of one or more profiles.

    Where two profiles bind a host the stricter value applies, and `stricter` says so.
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
    content_digest: str
    reference: Reference

    @property
    def level(self) -> int:
        """The highest level of protection that binds."""
        return max(profile.level for profile in self.profiles)


def resolve(content: Content, profiles: tuple[Profile, ...], overrides: Mapping[str, Mapping[str, object]]) -> Rulebook:
    """Bind `profiles` and a site's parameter overrides to the content.

    Raises ContentError when they name what does not exist, or a parameter has the wrong type.
    """
    known = _aliases(content)
    for name in overrides:
        if name not in known:
            raise ContentError(Text(f"没有检查 {name}，无法设置其参数", f"there is no check {name} to set parameters of"), file="parameters")
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
    return _bound(content, profiles, (), (), list(checks), overrides)


def _aliases(content: Content) -> dict[str, str]:
    return {name: check.id for check in content.checks.values() for name in (check.id, check.catalogue) if name}


def _bound(
    content: Content,
    profiles: tuple[Profile, ...],
    agreements: tuple[Agreement, ...],
    clauses: tuple[Clause, ...],
    wanted: list[str],
    overrides: Mapping[str, Mapping[str, object]],
) -> Rulebook:
    alias = _aliases(content)
    checks = _ordered(wanted, content, alias)
    stricter: list[Text] = []
    params = {check.id: _params(check, profiles, overrides, stricter) for check in checks.values()}
    severities = {check.id: _severity(check, profiles) for check in checks.values()}
    used = {param.derived for check in checks.values() for param in check.params.values() if param.derived}
    used |= {key for clause in clauses for key in clause.derived}
    return Rulebook(
        profiles=profiles,
        agreements=agreements,
        clauses=clauses,
        checks=checks,
        alias=alias,
        params=params,
        severities=severities,
        derived=tuple(sorted(used)),
        stricter=tuple(stricter),
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


def _params(check: Check, profiles: tuple[Profile, ...], overrides: Mapping[str, Mapping[str, object]], stricter: list[Text]) -> dict[str, Any]:
    for where, mapping in [*((f"profiles/{profile.id}", _named(check, profile.params)) for profile in profiles), ("parameters", _named(check, overrides))]:
        for name in mapping or {}:
            if name not in check.params:
                raise ContentError(Text(f"检查 {check.id} 没有参数 {name}", f"check {check.id} has no parameter {name}"), file=where)
    values: dict[str, Any] = {}
    for name, param in check.params.items():
        offered = {profile.id: _typed(check, name, param, (_named(check, profile.params) or {}).get(name, param.default)) for profile in profiles}
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
        override = (_named(check, overrides) or {}).get(name)
        values[name] = value if override is None else _typed(check, name, param, override)
    return values


def _typed(check: Check, name: str, param: Param, value: Any) -> Any:
    """The value, when it has the parameter's type.

    Raises ContentError.
    """
    kind = PARAM_TYPES[param.type]
    fits = isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value) if param.type == "texts" else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and param.type != "boolean"):
        raise ContentError(
            Text(f"检查 {check.id} 的参数 {name} 应为 {param.type}，写的是 {value!r}", f"the parameter {name} of {check.id} is {param.type}, not {value!r}"),
            file="parameters",
        )
    return tuple(value) if param.type == "texts" else value


def _severity(check: Check, profiles: tuple[Profile, ...]) -> Severity:
    offered = [_named(check, profile.severities) or check.severity for profile in profiles]
    return max(offered, key=lambda severity: severity.rank)
