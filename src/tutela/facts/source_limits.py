"""Source restrictions behind the packet filter: TCP wrappers and pam_access, as sets of addresses.

Sources: hosts_access(5); access.conf(5) and pam_access(8).
A client list that names hosts or netgroups cannot be turned into addresses; the answer is then Unobserved.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts import pam
from tutela.facts.look import Look
from tutela.facts.netfilter.addresses import EVERYONE, NOBODY, Addresses, of_words
from tutela.language import Text
from tutela.record import record

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
LINKED = "grep -c libwrap.so sshd"
ACCESS = "/etc/security/access.conf"
MAX_LINE = 8192
MAX_RULES = 500
"""Of access.conf: each is compared for each account that may log in."""
MAX_EXCEPT = 8
NEEDS = (ALLOW, DENY, LINKED, ACCESS, *pam.NEEDS)

Sets = dict[int, Addresses]
"""Addresses by family: {4: …, 6: …}."""
ALL: Sets = EVERYONE
NONE: Sets = {4: NOBODY, 6: NOBODY}


@record
class SourceLimits:
    """SourceLimits(wrappers={4: Addresses(…), 6: …}): who may reach sshd past TCP wrappers; everyone without them."""

    wrappers: Sets | Unobserved
    access_rules: tuple[tuple[bool, str, str], ...] | Unobserved | None
    """Rules of access.conf in order: permitted?, users, origins; None when sshd's account stack does not ask pam_access, or asks it in vain."""

    def access(self, user: str, groups: tuple[str, ...]) -> Sets | Unobserved:
        """From where pam_access lets an account in."""
        if self.access_rules is None:
            return ALL
        if isinstance(self.access_rules, Unobserved):
            return self.access_rules
        allowed, left = dict(NONE), dict(ALL)
        for permitted, users, origins in self.access_rules:
            applies = _names(users, user, groups)
            where = _origins(origins)
            if isinstance(applies, Unobserved):
                return applies
            if not applies:
                continue
            if isinstance(where, Unobserved):
                return where
            for family in (4, 6):
                hit = left[family] & where[family]
                left[family] = left[family] - hit
                if permitted:
                    allowed[family] = allowed[family] | hit
        # What no rule names is let in.
        return {family: allowed[family] | left[family] for family in (4, 6)}


def parse(look: Look) -> SourceLimits:
    """The fact, part by part."""
    return SourceLimits(_wrappers(look), _access(look))


# --- TCP wrappers ----------------------------------------------------------------------------------------------------


def _wrappers(look: Look) -> Sets | Unobserved:
    """Everyone, where sshd is not linked with libwrap or nothing is denied."""
    deny = look.text_or_none(DENY) or ""
    if isinstance(deny, str) and not _lines(deny):
        return ALL
    linked = look.text(LINKED)
    if isinstance(linked, str) and linked.strip() in ("", "0"):
        return ALL
    if isinstance(deny, Unobserved):
        return deny
    if isinstance(linked, Unobserved):
        return linked
    allow = look.text_or_none(ALLOW)
    if isinstance(allow, Unobserved):
        return allow
    allowed, left = dict(NONE), dict(ALL)
    for text, permits in ((allow or "", True), (deny, False)):
        for line in _lines(text):
            # The colons of an address in brackets divide nothing.
            parts = [part.replace("\0", ":").strip() for part in _BRACKETS.sub(lambda found: found[0].replace(":", "\0"), line).split(":")]
            if len(parts) < 2 or len(line) > MAX_LINE:
                return _strange(ALLOW if permits else DENY, line)
            daemons = re.split(r"[\s,]+", parts[0])
            if "EXCEPT" in daemons:
                return _strange(ALLOW if permits else DENY, line)
            if not {"sshd", "ALL"} & set(daemons):
                continue
            where = _clients(parts[1])
            if where is None:
                return _strange(ALLOW if permits else DENY, line)
            options = {part.lower() for part in parts[2:]}
            grants = (permits and "deny" not in options) or "allow" in options
            for family in (4, 6):
                hit = left[family] & where[family]
                left[family] = left[family] - hit
                if grants:
                    allowed[family] = allowed[family] | hit
    return {family: allowed[family] | left[family] for family in (4, 6)}


_BRACKETS = re.compile(r"\[[^\[\]]*\]")


def _lines(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.split("\n") if line.strip() and not line.strip().startswith("#")]


def _clients(words: str) -> Sets | None:
    """Addresses of a client list; `a EXCEPT b EXCEPT c` is a without (b without c). None when it names more than addresses."""
    left: Sets | None = None
    for part in reversed(re.split(r"(?:^|[\s,]+)EXCEPT(?:[\s,]+|$)", words.strip())):
        these = _listed(part)
        if these is None:
            return None
        left = these if left is None else {family: these[family] - left[family] for family in (4, 6)}
    return left


def _listed(words: str) -> Sets | None:
    found = dict(NONE)
    for word in re.split(r"[\s,]+", words.strip()):
        if word == "ALL":
            return dict(ALL)
        plain = word.replace("[", "").replace("]", "")
        prefix = re.fullmatch(r"([0-9]{1,3}\.){1,3}", word)
        if prefix:
            numbers = word.rstrip(".").split(".")
            plain = ".".join((numbers + ["0"] * 4)[:4]) + f"/{8 * len(numbers)}"
        elif not re.fullmatch(r"[0-9a-fA-F.:/]+", plain) or not re.search(r"[.:]", plain):
            return None
        made = {family: of_words(plain, family) for family in (4, 6)}
        for family, addresses in made.items():
            if addresses is None:
                return None
            found[family] = found[family] | addresses
    return found


# --- pam_access ------------------------------------------------------------------------------------------------------


def _access(look: Look) -> tuple[tuple[bool, str, str], ...] | Unobserved | None:
    services = look.fact(pam.parse)
    if isinstance(services, Unobserved):
        return services
    # Who comes with a key never meets the auth stack. A rule whose refusal is ignored, or that a `sufficient` or a jump passes by, restricts nobody.
    stack = services.stack("sshd", "account")
    if isinstance(stack, Unobserved):
        return stack
    asks = [rule for rule in stack if rule.module == "pam_access"]
    if pam.may_succeed(stack, pam.supposing(), pam_access="perm_denied"):
        return None
    if any(rule.argument("accessfile") not in (None, ACCESS) for rule in asks):
        return _strange(ACCESS, "accessfile=")
    text = look.text_or_none(ACCESS)
    if isinstance(text, Unobserved):
        return text
    rules: list[tuple[bool, str, str]] = []
    for line in _lines(text or ""):
        parts = [part.strip() for part in line.split(":", 2)]
        if len(parts) != 3 or parts[0] not in ("+", "-") or len(line) > MAX_LINE or len(rules) >= MAX_RULES or line.count("EXCEPT") > MAX_EXCEPT:
            return _strange(ACCESS, line)
        rules.append((parts[0] == "+", parts[1], parts[2]))
    return tuple(rules)


def _names(words: str, user: str, groups: tuple[str, ...]) -> bool | Unobserved:
    tokens = words.split()
    if "EXCEPT" in tokens:
        at = tokens.index("EXCEPT")
        first, second = _names(" ".join(tokens[:at]), user, groups), _names(" ".join(tokens[at + 1 :]), user, groups)
        if isinstance(first, Unobserved) or isinstance(second, Unobserved):
            return first if isinstance(first, Unobserved) else second
        return first and not second
    for token in tokens:
        if token.startswith("@") or "@" in token[1:]:
            return _strange(ACCESS, token)
        if token == "ALL" or (token.startswith("(") and token.strip("()") in groups) or token == user or (not token.startswith("(") and token in groups):
            return True
    return False


def _origins(words: str) -> Sets | Unobserved:
    tokens = words.split()
    if "EXCEPT" in tokens:
        at = tokens.index("EXCEPT")
        first, second = _origins(" ".join(tokens[:at])), _origins(" ".join(tokens[at + 1 :]))
        if isinstance(first, Unobserved) or isinstance(second, Unobserved):
            return first if isinstance(first, Unobserved) else second
        return {family: first[family] - second[family] for family in (4, 6)}
    found = dict(NONE)
    for token in tokens:
        if token == "LOCAL" or re.fullmatch(r"(tty|pts/|:|cron|vc/)\S*|crond?", token):
            continue  # consoles and jobs, never a login over the network
        made = _clients(token)
        if made is None:
            return _strange(ACCESS, token)
        found = {family: found[family] | made[family] for family in (4, 6)}
    return found


def _strange(source: str, words: str) -> Unobserved:
    quoted = words[:80]
    return Unobserved(Reason.FORMAT, source, Text(f"无法换算成地址：{quoted!r}", f"cannot be turned into addresses: {quoted!r}"))
