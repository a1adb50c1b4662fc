"""Whether guessing passwords locks the account: pam_faillock, or pam_tally2 before it, in the stacks that log people in.

Sources: pam_faillock(8), faillock.conf(5), pam_tally2(8). Each stack is walked twice: with a wrong password (is the failure counted?) and with
the right password of a locked account (is it refused?).
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts import pam, ssh_servers
from tutela.facts.look import Look
from tutela.facts.pam import PamRule, Stack
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

CONF = "/etc/security/faillock.conf"
NEEDS = (*pam.NEEDS, CONF, *ssh_servers.NEEDS)
SERVICES = ("login", "sshd")
TALLY = ("pam_tally2", "pam_tally")
_DEFAULTS = {"deny": 3, "unlock_time": 600, "fail_interval": 900}


@record
class Guarded:
    """Guarded(service='sshd', counts=True, refuses=True, deny=5, unlock_s=600)"""

    service: str
    counts: bool | Unobserved
    """A wrong password is counted."""
    refuses: bool | Unobserved
    """A locked account is refused although its password is right."""
    deny: int | Unobserved | None
    """Failures until the lock; None without a module."""
    unlock_s: int | Unobserved | None
    """Seconds until it opens again; 0: only an administrator opens it."""

    @property
    def effective(self) -> bool | Unobserved:
        """It counts, refuses, and its limit is not switched off."""
        if not (self.counts and self.refuses) or self.deny is None:
            return False
        if isinstance(self.deny, Unobserved):
            return self.deny
        doubt = next((one for one in (self.counts, self.refuses) if isinstance(one, Unobserved)), True)
        return self.deny >= 1 and doubt


@record
class Lockout:
    """Lockout(stacks=(Guarded(service='login', ...), Guarded(service='sshd', ...)))"""

    stacks: tuple[Guarded | Unobserved, ...]


def parse(look: Look) -> Lockout | Unobserved:
    """The fact, for every service of SERVICES that is installed."""
    services = look.fact(pam.parse)
    if isinstance(services, Unobserved):
        return services
    made: list[Guarded | Unobserved] = []
    for service in SERVICES:
        if service not in services.services:
            continue
        stack = services.stack(service, "auth")
        made.append(stack if isinstance(stack, Unobserved) else _guarded(look, service, stack))
    if not made:
        return Unobserved(Reason.NO_DATA, "/etc/pam.d/login", Text("没有登录用的 PAM 服务", "no PAM service that logs people in"))
    return Lockout(tuple(made))


def _guarded(look: Look, service: str, stack: Stack) -> Guarded:
    without = _sshd_bypasses(look) if service == "sshd" else False
    sure: bool | Unobserved = without if isinstance(without, Unobserved) else not without
    wrong = pam.run(stack, pam.guessing)
    locked = pam.run(stack, lambda rule: "auth_err" if _refuses_when_locked(rule) else pam.supposing()(rule))
    rules = [rule for rule in stack if rule.module == "pam_faillock" or rule.module in TALLY]
    deny, unlock_s = _limits(look, rules)
    return Guarded(
        service=service,
        counts=any(rule.module in TALLY or _action(rule) == "authfail" for rule in wrong.ran if rule in rules) and sure,
        refuses=bool(rules) and not locked.success and sure,
        deny=deny,
        unlock_s=unlock_s,
    )


def _action(rule: PamRule) -> str:
    return next((word for word in ("preauth", "authfail", "authsucc") if word in rule.arguments), "")


def _refuses_when_locked(rule: PamRule) -> bool:
    return rule.module in TALLY or (rule.module == "pam_faillock" and _action(rule) in ("preauth", "authsucc"))


def _sshd_bypasses(look: Look) -> bool | Unobserved:
    """`UsePAM no`: the SSH server looks at passwords itself, and no stack counts anything."""
    texts = (look.text(name) for name in look.names("sshd -T"))
    if any("\nusepam no" in "\n" + text.lower() for text in texts if isinstance(text, str)):
        return True
    doubt = unseen(look, ssh_servers.EFFECTIVE)
    if doubt is None:
        return False
    # Whoever may not ask the server may still read its files.
    running = look.fact(ssh_servers.parse)
    if isinstance(running, Unobserved):
        return running
    bases = [server.base for server in running.servers if server.kind == "openssh"]
    known = [base.get("usepam") for base in bases if not isinstance(base, Unobserved)]
    return True if "no" in known else doubt if len(known) < len(bases) else False


def _limits(look: Look, rules: list[PamRule]) -> tuple[int | Unobserved | None, int | Unobserved | None]:
    """The weakest limits that the module's lines have; each line's arguments come after faillock.conf."""
    if not rules:
        return None, None
    settings: dict[str, str] = {}
    if any(rule.module == "pam_faillock" for rule in rules):
        for name in {rule.argument("conf") or CONF for rule in rules}:
            text = look.text_or_none(name)
            if isinstance(text, Unobserved):
                return text, text
            settings |= dict(pam.settings(text or ""))
    denies: list[int] = []
    unlocks: list[int] = []
    for rule in rules:
        own = settings | {key: given for key in _DEFAULTS if (given := rule.argument(key)) is not None}
        # pam_tally2 has no limit unless one is given, and then never unlocks by itself.
        deny = _number(own.get("deny"), 0 if rule.module in TALLY else _DEFAULTS["deny"])
        unlock = _number(own.get("unlock_time"), 0 if rule.module in TALLY else _DEFAULTS["unlock_time"])
        if deny is None or unlock is None:
            doubt = Unobserved(Reason.FORMAT, rule.module, Text("参数不是数字", "an argument is not a number"))
            return doubt, doubt
        denies.append(deny)
        unlocks.append(unlock)
    return (0 if 0 in denies else max(denies)), min((one for one in unlocks if one > 0), default=0)


def _number(word: str | None, default: int) -> int | None:
    if word is None:
        return default
    if word == "never":
        return 0
    digits = re.match(r"[0-9]{1,9}", word)  # as sscanf reads it: 0x5 is 0
    return int(digits[0]) if digits is not None else None
