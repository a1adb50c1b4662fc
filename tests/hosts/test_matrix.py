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
from tutela.assess import Assessment
from tutela.checks import Outcome

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

HERE = Path(__file__).parent
VOLATILE = frozenset({"H-003", "H-004", "H-006", "H-071", "H-094"})
"""What they come to depends on the day and on what the mirror offers: their scenes and flips hold them, not this table."""
ROLES = (
    "keeps-all",
    "breaks-all",
    "ufw-host",
    "firewalld-host",
    "iptables-legacy-host",
    "no-systemd-no-python",
    "mariadb-pg-nfs",
    "socket-host",
    "plain",
)


def seen(host: Host, user: str) -> Assessment:
    """A host that refuses root over SSH shows itself to root by sudo."""
    words = ("ops", "--become") if (host.role.name, user) == ("mariadb-pg-nfs", "root") else (user,)
    return look.judge(look.collect(host, *words))


@pytest.mark.parametrize("user", ["root", "ops"])
@pytest.mark.parametrize("role", ROLES)
def test_every_check_and_clause_on_a_real_host(role: str, user: str, lab_host: Callable[[str], Host], update: bool) -> None:
    assessment = seen(lab_host(role), user)

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
    root = {verdict.check.id: verdict.result for verdict in seen(lab_host(role), "root").verdicts}
    user = {verdict.check.id: verdict.result for verdict in seen(lab_host(role), "ops").verdicts}

    contradictions = {
        name: (root[name], user[name])
        for name in root
        if root[name] is not user[name] and user[name] is not Outcome.UNKNOWN and root[name] is not Outcome.UNKNOWN
    }

    assert contradictions == {}
