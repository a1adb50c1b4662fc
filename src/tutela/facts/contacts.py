"""Contacts of the host and the patrol of its label: what people lodged. Source: the site's contacts and attestations."""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

NEEDS = ()
CONTACTS_CLAUSE = "HL-2.5a"
LABEL_CLAUSE = "HL-2.6a"


@record
class Contacts:
    """Contacts(reachable=2, verified_days=30, patrol_days=120)"""

    reachable: int | Unobserved
    """Contacts with a telephone number or a mail address."""
    verified_days: int | Unobserved
    """Days since somebody tried them (HL-2.5a)."""
    patrol_days: int | Unobserved
    """Days since the asset label was looked at (HL-2.6a)."""


def parse(look: Look) -> Contacts:
    """The fact; numbers and addresses stay where they are (NC8)."""
    listed = look.site.contacts
    reachable: int | Unobserved = Unobserved(Reason.NOT_LODGED, "contacts", Text("没有登记联系人", "no contacts are declared"))
    if listed is not None:
        reachable = sum(1 for one in listed if one.get("phone") or one.get("mail"))
    return Contacts(reachable, _age(look, CONTACTS_CLAUSE), _age(look, LABEL_CLAUSE))


def _age(look: Look, clause: str) -> int | Unobserved:
    today = look.today
    days = [(today - one.on).days for one in look.site.attestations if one.clause.startswith(clause) and one.answer == "yes" and one.on <= today <= one.expires]
    if days:
        return min(days)
    return Unobserved(Reason.NOT_LODGED, clause, Text("没有有效的登记", "nothing valid is lodged"))
