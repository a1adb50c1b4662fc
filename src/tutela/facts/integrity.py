"""File integrity: AIDE, Tripwire or IMA appraisal: a database, and a recent comparison with it.

Sources: aide(1) (exit status 1 to 7: differences; 14 and more: it could not compare), tripwire(8), the kernel's ima_appraise= parameter; schedules and logs.
"""

from __future__ import annotations

import re
from datetime import datetime

from tutela.evidence import Reason, Unobserved
from tutela.facts import schedules
from tutela.facts.look import Look
from tutela.facts.protection_files import NEEDS as FILES
from tutela.facts.protection_files import files
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

NEEDS = (*schedules.NEEDS, *FILES, "/proc/cmdline")
CHECKS = re.compile(r"(^|[ /])(aide(\.wrapper)?( .*)? (--check|-C|--update|-u)( |$)|dailyaidecheck( |$)|tripwire( .*)? (--check|-m c)( |$))")
DATABASES = re.compile(r"/var/lib/aide/[^/]{1,100}|/var/lib/tripwire/[^/]{1,100}\.twd")
DIFFERENCES = range(1, 8)


@record
class Integrity:
    """Integrity(tool='aide', database='/var/lib/aide/aide.db', last_check_days=0.4, differences=False, review_days=3)"""

    tool: str | None
    """aide | tripwire | ima"""
    database: str | Unobserved | None
    last_check_days: float | Unobserved | None
    """Age of the last comparison; None: nothing compares on a schedule. IMA compares at each access: 0."""
    differences: bool | Unobserved
    """Whether the last comparison found any."""
    review_days: int | Unobserved
    """How long ago somebody read the report, as the site declares; the host cannot know."""


def parse(look: Look) -> Integrity | Unobserved:
    """The fact."""
    doubt = unseen(look, "/proc/cmdline")
    if doubt is not None:
        return doubt  # whether the kernel itself compares, at each access
    command_line = look.text("/proc/cmdline")
    appraised = _appraised(command_line) if isinstance(command_line, str) else False
    if appraised is True:
        return Integrity("ima", "security.ima", 0.0, False, _review_days(look))
    seen = files(look)
    if isinstance(seen, Unobserved):
        return seen
    programs = [name for name in ("aide", "tripwire") if any(path.endswith("/" + name) for path in seen)]
    database: str | Unobserved | None = next(
        (path for path, one in sorted(seen.items()) if DATABASES.fullmatch(path) and one.size and ".new" not in path and not one.directory), None
    )
    if database is None and programs and not look.as_root:
        database = Unobserved(Reason.PRIVILEGE, "/var/lib/aide", Text("权限不足，看不到数据库", "not permitted to see its database"))
    last, differences = _last_check(look)
    if isinstance(appraised, Unobserved) and database is None:
        return Integrity("ima", appraised, appraised, appraised, _review_days(look))
    if isinstance(database, str) and not isinstance(last, float):
        logs = [one.changed for path, one in seen.items() if re.fullmatch(r"/var/log/aide/aide(-check)?\.log", path) and one.size]
        if logs:
            last = _days(look, max(logs))
    return Integrity(programs[0] if programs else None, database, last, differences, _review_days(look))


def _appraised(command_line: str) -> bool | Unobserved:
    """Whether the kernel compares at each access. It does nothing without a policy: one of its own, or one that is loaded later and not seen here."""
    mode = re.search(r"(?:^|\s)ima_appraise=(\w+)", command_line)
    if mode is not None and mode[1] != "enforce":
        return False
    if re.search(r"(?:^|\s)(ima_policy=\S*appraise_tcb|ima_appraise_tcb(\s|$))", command_line):
        return True
    why = Text("内核可按策略校验，策略本身看不到", "the kernel may appraise by a policy, which is not seen")
    return False if mode is None else Unobserved(Reason.NO_VANTAGE, "/proc/cmdline", why)


def _review_days(look: Look) -> int | Unobserved:
    day = look.site.integrity_reviewed
    if day is None:
        why = Text("没有登记谁在何时看过比对报告", "nobody has declared when the report of the comparison was read")
        return Unobserved(Reason.NOT_LODGED, "site.integrity_reviewed", why)
    if day > look.today:
        return Unobserved(Reason.FORMAT, "site.integrity_reviewed", Text("登记的日期在将来", "the declared day lies in the future"))
    return (look.today - day).days


def _last_check(look: Look) -> tuple[float | Unobserved | None, bool | Unobserved]:
    nothing = Unobserved(Reason.NO_DATA, "aide", Text("没有看到比对结果", "no result of a comparison was seen"))
    jobs = schedules.running(look, CHECKS)
    if isinstance(jobs, Unobserved):
        return jobs, nothing
    best: tuple[float, bool | Unobserved] | None = None
    doubt: Unobserved | None = None
    for job in jobs:
        if isinstance(job, Unobserved):
            doubt = doubt or job
            continue
        found: tuple[float, bool | Unobserved] | None = None
        if job.ran is not None and job.status is not None and (job.status == 0 or job.status in DIFFERENCES):
            found = (_days(look, job.ran), job.status in DIFFERENCES)
        elif isinstance(job.succeeded, datetime):
            found = (_days(look, job.succeeded), False)
        else:
            doubt = job.succeeded
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return best if best is not None else (doubt, nothing)


def _days(look: Look, when: datetime) -> float:
    return round(max((look.now - when).total_seconds() / 86400, 0.0), 1)
