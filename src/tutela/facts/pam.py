"""How each PAM service decides: the stacks as libpam reads them, and what they answer.

Sources: pam.conf(5), pam.d(5) and Linux-PAM's libpam/pam_handlers.c and pam_dispatch.c; `@include` is Debian's addition.

What others use:

    pam = look.fact(pam.parse)                      # Pam | Unobserved
    stack = pam.stack("sshd", "auth")               # tuple[PamRule, ...] | Unobserved
    stacked(stack, "pam_google_authenticator")      # its rules that call one of these modules
    run(stack, answers).success                     # would the stack say yes?
    may_succeed(stack, answers)                     # would it to somebody, whatever pam_succeed_if and the like say?

`run` walks a stack the way libpam does, jumps and substacks included, with answers that the caller supposes for each module.
So "can one log in knowing only the password" is: suppose pam_unix succeeds, the second factor fails, everything else stays neutral, and see
whether the stack still succeeds. No rule is ever judged by its control word alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

NEEDS = ("/etc/pam.d/", "/usr/lib/pam.d/", "/etc/pam.conf")
TYPES = ("auth", "account", "password", "session")
MAX_DEPTH = 16
"""libpam itself allows 16 nested substacks."""
MAX_RULES = 500

_NAME = re.compile(r"[A-Za-z0-9_.@+-]+")
_SHORT: Mapping[str, Mapping[str, str]] = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}


@record
class PamRule:
    """PamRule(type='auth', control='[success=1 default=ignore]', module='pam_unix', arguments=('nullok',), file='/etc/pam.d/common-auth', line=17, level=0)"""

    type: str
    control: str
    """`substack` stands before the rules of a substack, as their head: it asks nothing, and a jump over it jumps over all of them."""
    module: str
    """Without directory and `.so`; of a head the file."""
    arguments: tuple[str, ...]
    file: str
    line: int
    level: int = 0
    """How deep in substacks; an `include` does not count."""

    def argument(self, name: str) -> str | None:
        """The value of `name=value`, the last one given; `""` for a bare `name`; None without it."""
        found = None
        for word in self.arguments:
            key, _, value = word.partition("=")
            if key == name:
                found = value
        return found

    @property
    def actions(self) -> Mapping[str, str]:
        """What each return value leads to: `ok`, `done`, `bad`, `die`, `ignore`, `reset` or a number of rules to skip."""
        if self.control in _SHORT:
            return _SHORT[self.control]
        pairs = (word.partition("=") for word in self.control.strip("[]").split())
        return {key.lower(): action.lower() for key, _, action in pairs}


Stack = tuple[PamRule, ...]


@record
class PamService:
    """One service; each stack with its includes resolved, or why it could not be."""

    auth: Stack | Unobserved
    account: Stack | Unobserved
    password: Stack | Unobserved
    session: Stack | Unobserved


@record
class Pam:
    """Pam(services={'sshd': PamService(...), 'login': PamService(...)})"""

    services: Mapping[str, PamService]
    """Services with a configuration of their own, by name; includes such as `common-auth` are among them."""

    def stack(self, service: str, kind: str) -> Stack | Unobserved:
        """The stack of a service; a service without a file of its own is decided by `other`.

        kind: auth | account | password | session
        """
        found = self.services.get(service) or self.services.get("other")
        if found is None:
            return Unobserved(Reason.NO_ANSWER, f"/etc/pam.d/{service}", Text("没有这项服务，也没有 other", "no such service, and no `other`"))
        rules: Stack | Unobserved = getattr(found, kind)
        return rules


class Run(NamedTuple):
    """What a stack said."""

    success: bool
    ran: tuple[PamRule, ...]
    """The rules that were asked, in order."""


ALWAYS: Mapping[str, str] = {"pam_deny": "auth_err", "pam_rootok": "auth_err"}
"""Modules whose answer to somebody who is not root yet is always the same."""
PASSWORD_MODULES = frozenset(
    {"pam_unix", "pam_unix2", "pam_sss", "pam_ldap", "pam_krb5", "pam_winbind", "pam_systemd_home", "pam_tcb", "pam_pwdb", "pam_userdb"}
)
"""Modules that ask for a password."""


def supposing(**by_module: str) -> Callable[[PamRule], str]:
    """Answers for `run`: those of `by_module`, `auth_err` where a module always refuses, `success` everywhere else."""
    return lambda rule: by_module.get(rule.module, ALWAYS.get(rule.module, "success"))


OTHER_PROOFS = frozenset(
    {"pam_fprintd", "pam_u2f", "pam_pkcs11", "pam_p11", "pam_ssh_agent_auth", "pam_sss_gss", "pam_gss", "pam_yubico", "pam_oath", "pam_google_authenticator"}
)
"""Modules that ask for something else: a finger, a token, a card. Where one is enough by itself, whoever guesses passwords does not have it."""


def guessing(rule: PamRule) -> str:
    """The answers that somebody gets who has nothing but a wrong password."""
    if rule.module in PASSWORD_MODULES or (rule.module in OTHER_PROOFS and rule.actions.get("success") not in ("ok", "ignore")):
        return "auth_err"
    return ALWAYS.get(rule.module, "success")


QUESTIONS = frozenset(
    {"pam_succeed_if", "pam_access", "pam_listfile", "pam_localuser", "pam_usertype", "pam_time", "pam_exec", "pam_script", "pam_rhosts", "pam_geoip"}
)
"""Modules that ask who it is, from where and when: yes for some logins and no for others."""
MAX_QUESTIONS = 8


def may_succeed(stack: Stack, answers: Callable[[PamRule], str], **fixed: str) -> bool:
    """Whether the stack says yes to somebody: each of QUESTIONS is answered both ways, so no jump over a module is overlooked.

    fixed: answers that those modules do give: `pam_access="perm_denied"`.
    """
    asked = [rule for rule in stack if rule.module in QUESTIONS and rule.module not in fixed][:MAX_QUESTIONS]
    for said in product(("success", "auth_err"), repeat=len(asked)):
        own = dict(zip(asked, said, strict=True))
        if run(stack, lambda rule, own=own: fixed.get(rule.module) or own.get(rule) or answers(rule)).success:  # type: ignore[misc]
            return True
    return False


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of faillock.conf or pwquality.conf: blanks part them as well as `=` does."""
    for line in text.split("\n"):
        found = re.match(r"\s*([^\s=]+)[\s=]*(.*)", line.partition("#")[0])
        if found is not None:
            yield found[1], found[2].strip()


def stacked(stack: Stack | Unobserved, *modules: str) -> Stack | Unobserved:
    """The rules of a stack that call one of `modules`."""
    return stack if isinstance(stack, Unobserved) else tuple(rule for rule in stack if rule.module in modules)


def run(stack: Stack, answers: Callable[[PamRule], str]) -> Run:
    """Walk a stack as libpam does.

    answers: the return value to suppose for a rule, in libpam's words: `success`, `ignore`, `auth_err`, `perm_denied`, `user_unknown`, …
    """
    impression, status = "undef", "perm_denied"
    entered: list[tuple[str, str]] = [(impression, status)]
    ran: list[PamRule] = []
    at = 0
    while at < len(stack):
        rule = stack[at]
        if rule.control == "substack":
            del entered[rule.level + 1 :]
            entered.append((impression, status))
            at += 1
            continue
        answer = answers(rule)
        ran.append(rule)
        actions = rule.actions
        action = actions.get(answer, actions.get("default", "bad"))
        skip_rest = False
        if action == "reset":
            impression, status = entered[rule.level]
        elif action in ("ok", "done"):
            if impression == "undef" or (impression == "positive" and status == "success"):
                impression, status = "positive", answer
            skip_rest = action == "done" and impression == "positive"
        elif action in ("bad", "die"):
            if impression != "negative":
                impression, status = "negative", "perm_denied" if answer == "ignore" else answer
            skip_rest = action == "die"
        elif action != "ignore":
            at, reached = _jump(stack, at, int(action) if action.isdigit() and len(action) < 4 else MAX_RULES)
            if not reached:
                impression, status = "negative", "perm_denied"
        if skip_rest:
            # A decision ends the substack it was made in, and everything at the outermost level.
            while at + 1 < len(stack) and stack[at + 1].level >= rule.level:
                at += 1
        at += 1
    return Run(status == "success" and impression == "positive", tuple(ran))


def _jump(stack: Stack, at: int, count: int) -> tuple[int, bool]:
    """Where a jump of `count` rules lands (the last rule skipped), and whether there were that many; a whole substack counts as one."""
    level = stack[at].level
    while count > 0 and at + 1 < len(stack) and stack[at + 1].level >= level:
        at += 1
        while at + 1 < len(stack) and stack[at + 1].level > level:
            at += 1
        count -= 1
    return at, count == 0


def parse(look: Look) -> Pam | Unobserved:
    """Every service of /etc/pam.d, the vendor's directory behind it, or pam.conf where there is no directory."""
    listed = look.lines(NEEDS[0])
    if isinstance(listed, Unobserved):
        return listed if look.source(NEEDS[0]).status is not Status.ABSENT else _single_file(look)
    vendor = look.text_or_none(NEEDS[1])
    names = set(listed) | (set(vendor.split("\n")) if isinstance(vendor, str) else set())
    reader = _Reader(look, listed=frozenset(listed), vendor=frozenset(vendor.split("\n") if isinstance(vendor, str) else ()))
    return Pam({name: reader.service(name) for name in sorted(names) if _NAME.fullmatch(name) and reader.has(name)})


def _single_file(look: Look) -> Pam | Unobserved:
    """pam.conf: the service's name stands first in each line."""
    lines = look.lines(NEEDS[2])
    if isinstance(lines, Unobserved):
        return lines
    by_service: dict[str, list[str]] = {}
    for _, line in _logical(lines):
        words = line.split(None, 1)
        if len(words) == 2:
            by_service.setdefault(words[0].lower(), []).append(words[1])
    reader = _Reader(look, single=by_service)
    return Pam({name: reader.service(name) for name in sorted(by_service)})


class _Reader:
    """Reads service files and follows their includes."""

    def __init__(
        self, look: Look, listed: frozenset[str] = frozenset(), vendor: frozenset[str] = frozenset(), single: Mapping[str, list[str]] | None = None
    ) -> None:
        self._look = look
        self._listed = {NEEDS[0]: listed, NEEDS[1]: vendor}
        self._single = single
        self._read: dict[str, tuple[str, tuple[_Line, ...] | Unobserved]] = {}

    def has(self, name: str) -> bool:
        """Whether there is a file of that name (directories and the like are no services)."""
        if self._single is not None:
            return name in self._single
        return any(name in names and self._look.source(f"{directory}{name}").status is not Status.ABSENT for directory, names in self._listed.items())

    def service(self, name: str) -> PamService:
        """All four stacks of a service."""
        stacks: dict[str, Stack | Unobserved] = {}
        for kind in TYPES:
            made: list[PamRule] = []
            doubt = self._follow(name, kind, 0, 0, made)
            if doubt is None and not made and name != "other" and self.has("other"):
                # libpam: a service that says nothing of a kind is decided by `other`.
                doubt = self._follow("other", kind, 0, 0, made)
            stacks[kind] = tuple(made) if doubt is None else doubt
        return PamService(**stacks)

    def _lines(self, name: str) -> tuple[str, list[str] | Unobserved]:
        if name.startswith("/"):
            return name, self._look.lines(name)
        if self._single is not None and name in self._single:
            return NEEDS[2], self._single[name]
        first, second = (f"{directory}{name}" for directory in NEEDS[:2])
        if name in self._listed[NEEDS[1]] and (name not in self._listed[NEEDS[0]] or self._look.source(first).status is Status.ABSENT):
            first = second
        return first, self._look.lines(first)

    def _follow(self, name: str, kind: str, level: int, depth: int, made: list[PamRule]) -> Unobserved | None:
        """Append the rules of one kind; what could not be followed makes the whole stack unknown."""
        file, lines = self._parsed(name)
        if isinstance(lines, Unobserved):
            return lines
        if depth > MAX_DEPTH:
            return Unobserved(Reason.FORMAT, file, Text("互相包含过深", "includes are nested too deeply"))
        for number, target, rule in lines:
            if target:
                doubt = self._follow(target, kind, level, depth + 1, made)
                if doubt is not None:
                    return doubt
                continue
            if rule is None:
                return _unclear(file, number)
            if rule.type != kind:
                continue
            if level:
                rule = replace(rule, level=level)
            if rule.control == "substack":
                made.append(rule)
            if rule.control in ("include", "substack"):
                doubt = self._follow(rule.module, kind, level + (rule.control == "substack"), depth + 1, made)
                if doubt is not None:
                    return doubt
                continue
            made.append(rule)
            if len(made) > MAX_RULES:
                return Unobserved(Reason.FORMAT, file, Text("规则过多", "more rules than any real stack has"))
        return None

    def _parsed(self, name: str) -> tuple[str, tuple[_Line, ...] | Unobserved]:
        """The file and its lines, read once: every service includes the same few, for each kind again."""
        known = self._read.get(name)
        if known is None:
            file, lines = self._lines(name)
            parsed = lines if isinstance(lines, Unobserved) else tuple(_line(line, file, number) for number, line in _logical(lines))
            known = self._read[name] = file, parsed
        return known


def _unclear(file: str, number: int) -> Unobserved:
    return Unobserved(Reason.FORMAT, file, Text(f"第 {number} 行无法理解", f"line {number} is not understood"))


def _logical(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Lines without comments and blanks, continued ones joined, with the number of their first line."""
    held, first = "", 0
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not held and (not line or line.startswith("#")):
            continue
        first = first if held else number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        whole, held = (held + line).strip(), ""
        whole = whole.partition("#")[0].strip()
        if whole:
            yield first, whole
    if held.strip():
        yield first, held.partition("#")[0].strip()


class _Line(NamedTuple):
    """One line: what it includes, or its rule; neither when it is not understood."""

    number: int
    target: str
    rule: PamRule | None


def _line(line: str, file: str, number: int) -> _Line:
    if line.startswith("@include"):
        return _Line(number, line[len("@include") :].strip(), None)
    return _Line(number, "", _rule(line, file, number))


def _rule(line: str, file: str, number: int) -> PamRule | None:
    words = _words(line)
    if words is None or len(words) < 3:
        return None
    kind = words[0].lower().removeprefix("-")
    control = words[1].lower()
    if kind not in TYPES:
        return None
    if control not in _SHORT and control not in ("include", "substack"):
        pairs = control.strip("[]").split()
        if not control.startswith("[") or not pairs or not all(re.fullmatch(r"[a-z_]+=(ok|done|bad|die|ignore|reset|\d{1,3})", pair) for pair in pairs):
            return None
    module = words[2]
    if control not in ("include", "substack"):
        module = module.rpartition("/")[2].removesuffix(".so")
    return PamRule(kind, control, module, tuple(words[3:]), file, number)


def _words(line: str) -> list[str] | None:
    """Words split at blanks; `[…]` keeps its blanks and loses its brackets, except as the control. None for an open bracket."""
    if "[" not in line:
        return line.split()
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        if line[at] == "[":
            end = line.find("]", at)
            if end < 0:
                return None
            inner = line[at + 1 : end]
            words.append(f"[{' '.join(inner.split())}]" if len(words) == 1 else inner)
            at = end + 1
            continue
        end = at
        while end < len(line) and not line[end].isspace():
            end += 1
        words.append(line[at:end])
        at = end
    return words
