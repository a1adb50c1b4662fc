"""Every check and every clause on every real host, as root and as an ordinary user.

`expected/<role>.<user>.yaml` says what each must come to; `pytest tests/hosts --update` rewrites it, and a person reads the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.hosts import look
from tests.lab.host import Host
from tutela.checks import Outcome

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

HERE = Path(__file__).parent
VOLATILE = frozenset({"H-003", "H-004", "H-006", "H-071", "H-094"})
"""What they come to depends on the day and on what the mirror offers: their scenes and flips hold them, not this table."""
ROLES = ("keeps-all", "breaks-all", "ufw-host", "firewalld-host", "iptables-legacy-host", "no-systemd-no-python", "mariadb-pg-nfs", "plain")
CASES = [(role, user) for role in ROLES for user in ("root", "ops") if (role, user) != ("mariadb-pg-nfs", "root")]


@pytest.mark.parametrize(("role", "user"), CASES)
def test_every_check_and_clause_on_a_real_host(role: str, user: str, lab_host: Callable[[str], Host], update: bool) -> None:
    assessment = look.judge(look.collect(lab_host(role), user))

    said = {
        "checks": {
            verdict.check.catalogue or verdict.check.id: verdict.result.value
            for verdict in sorted(assessment.verdicts, key=lambda one: one.check.catalogue or "~")
            if verdict.check.catalogue not in VOLATILE
        },
        "clauses": {one.clause.id: one.standing.value for one in assessment.clauses if one.verdicts and not VOLATILE & set(one.clause.checks)},
    }
    path = HERE / "expected" / f"{role}.{user}.yaml"
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
    assert yaml.safe_load(path.read_text("utf-8")) == said


@pytest.mark.parametrize("role", ROLES)
def test_an_ordinary_user_never_sees_more_than_root(role: str, lab_host: Callable[[str], Host]) -> None:
    """What root finds broken, an ordinary user finds broken or unknown, never kept; and the other way round."""
    if role == "mariadb-pg-nfs":
        user_only = look.judge(look.collect(lab_host(role), "ops"))
        assert any(verdict.result is Outcome.UNKNOWN for verdict in user_only.verdicts)
        return
    root = {verdict.check.id: verdict.result for verdict in look.judge(look.collect(lab_host(role), "root")).verdicts}
    user = {verdict.check.id: verdict.result for verdict in look.judge(look.collect(lab_host(role), "ops")).verdicts}

    contradictions = {
        name: (root[name], user[name])
        for name in root
        if root[name] is not user[name] and user[name] is not Outcome.UNKNOWN and root[name] is not Outcome.UNKNOWN
    }

    assert contradictions == {}
