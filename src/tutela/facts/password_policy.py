"""What a new password must look like, and how it is stored: the module in the password stack with its effective settings.

Sources: pam_pwquality(8), pwquality.conf(5), pam_passwdqc(8), pam_cracklib(8), pam_unix(8), login.defs(5).
libpwquality reads pwquality.conf.d first, pwquality.conf after it and the module's arguments last; the last value wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import accounts, pam
from tutela.facts.look import Look
from tutela.facts.pam import PamRule
from tutela.language import Text
from tutela.record import record

CONF, CONF_D = "/etc/security/pwquality.conf", "/etc/security/pwquality.conf.d/"
NEEDS = (*pam.NEEDS, CONF, CONF_D, "/etc/passwdqc.conf", "/etc/login.defs")
MODULES = ("pam_pwquality", "pam_passwdqc", "pam_cracklib")
CREDITS = ("dcredit", "ucredit", "lcredit", "ocredit")
KNOWN = frozenset(
    [
        *CREDITS,
        "difok",
        "minlen",
        "minclass",
        "maxrepeat",
        "maxclassrepeat",
        "maxsequence",
        "gecoscheck",
        "dictcheck",
        "usercheck",
        "usersubstr",
        "enforcing",
        "badwords",
        "dictpath",
        "retry",
        "enforce_for_root",
        "local_users_only",
    ]
)
"""What pwquality.conf may hold; libpwquality reads no further than to the first line that it does not know."""
SHORTEST = 6
"""libpwquality takes no smaller minlen."""
SHORTEST_WORD = 4
"""libpwquality leaves shorter words of `badwords` out."""
HASHES = ("gost_yescrypt", "yescrypt", "sha512", "sm3", "blowfish", "bcrypt", "sha256", "md5", "bigcrypt", "des")
_NUMBER = re.compile(r"-?\d{1,6}")


@record
class PasswordPolicy:
    """PasswordPolicy(module='pam_pwquality', enforced=True, minlen=12, four_classes=True, enforce_for_root=True, ...)"""

    module: str | None
    """The module in the stack of passwd(1); None: passwords are not examined at all."""
    enforced: bool
    """Whether a password that the module refuses is refused."""
    minlen: int | Unobserved | None
    """The shortest password that passes, positive credits counted."""
    four_classes: bool | Unobserved | None
    """Upper case, lower case, digits and symbols are all demanded."""
    enforce_for_root: bool | Unobserved | None
    """Also where root sets a password."""
    user_name_refused: bool | Unobserved | None
    dictionary_used: bool | Unobserved | None
    site_words_refused: bool | Unobserved | None
    """All words that the site declared weak are refused."""
    hash_method: str | Unobserved | None
    """How new passwords are hashed: `yescrypt`, `sha512`, …; None when nothing says it."""
    hash_set_by: str
    """pam_unix | login.defs"""


def parse(look: Look) -> PasswordPolicy | Unobserved:
    """The fact, as passwd(1) would find it."""
    stacks = look.fact(pam.parse)
    if isinstance(stacks, Unobserved):
        return stacks
    stack = stacks.stack("passwd", "password")
    if isinstance(stack, Unobserved):
        return stack
    method, by = _hash_method(look, stack)
    rule = next((rule for rule in stack if rule.module in MODULES), None)
    if rule is None:
        return PasswordPolicy(None, False, None, None, None, None, None, None, method, by)
    values = {"pam_pwquality": _pwquality, "pam_cracklib": _cracklib, "pam_passwdqc": _passwdqc}[rule.module](look, rule)
    words = _words_refused(look, rule, values)
    refusing = pam.run(stack, pam.supposing(**{rule.module: "authtok_err"}))
    if isinstance(values, Unobserved):
        return PasswordPolicy(rule.module, not refusing.success, values, values, values, values, values, words, method, by)
    return PasswordPolicy(
        module=rule.module,
        enforced=not refusing.success and values.enforcing,
        minlen=values.minlen,
        four_classes=values.four_classes,
        enforce_for_root=values.root,
        user_name_refused=values.user,
        dictionary_used=values.dictionary,
        site_words_refused=words,
        hash_method=method,
        hash_set_by=by,
    )


@record
class _Values:
    minlen: int
    four_classes: bool
    root: bool
    user: bool
    dictionary: bool
    words: frozenset[str] | None
    """Refused words in lower case; None: they stand in a file that is not read."""
    enforcing: bool = True


def _pwquality(look: Look, rule: PamRule) -> _Values | Unobserved:
    settings: dict[str, str] = {}
    names = sorted(name for name in look.names(CONF_D) if name.endswith(".conf"))
    if look.source(CONF_D).status not in (Status.ABSENT, Status.OK):
        listed = look.text(CONF_D)
        if isinstance(listed, Unobserved):
            return listed
    for name in [*names, CONF]:
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        for key, value in pam.settings(text or ""):
            if key.lower() not in KNOWN:
                why = Text(f"不认识 {key!r}，其后的设置不会被读取", f"{key!r} is no setting, and what follows it is not read")
                return Unobserved(Reason.FORMAT, name, why)
            settings[key.lower()] = value
    return _values(settings | _arguments(rule), rule, minlen=8, credit=0)


def _cracklib(look: Look, rule: PamRule) -> _Values | Unobserved:  # noqa: ARG001 - the same shape for all modules
    settings = {"usercheck": "1" if rule.argument("reject_username") is not None else "0"}
    return _values(settings | _arguments(rule), rule, minlen=9, credit=1)


def _arguments(rule: PamRule) -> dict[str, str]:
    pairs = (word.partition("=") for word in rule.arguments)
    return {key.lower(): value for key, _, value in pairs}


def _values(settings: Mapping[str, str], rule: PamRule, *, minlen: int, credit: int) -> _Values | Unobserved:
    """Settings of pam_pwquality and of its elder pam_cracklib, which mean the same by the same names."""
    numbers: dict[str, int] = {"minlen": minlen, "minclass": 0, "usercheck": 1, "dictcheck": 1, "enforcing": 1} | dict.fromkeys(CREDITS, credit)
    for key in numbers:
        if key in settings:
            if not _NUMBER.fullmatch(settings[key]):
                return Unobserved(Reason.FORMAT, f"{rule.module} {key}", Text(f"不是数字：{settings[key]!r}", f"not a number: {settings[key]!r}"))
            numbers[key] = int(settings[key])
    given = sum(max(numbers[key], 0) for key in CREDITS)
    return _Values(
        minlen=max(max(numbers["minlen"], SHORTEST) - given, 1),
        four_classes=numbers["minclass"] >= 4 or all(numbers[key] <= -1 for key in CREDITS),
        root="enforce_for_root" in settings,
        user=numbers["usercheck"] != 0,
        dictionary=numbers["dictcheck"] != 0,
        words=frozenset(word.lower() for word in settings.get("badwords", "").split() if len(word) >= SHORTEST_WORD),
        enforcing=numbers["enforcing"] != 0,
    )


def _passwdqc(look: Look, rule: PamRule) -> _Values | Unobserved:
    settings = {"min": "disabled,24,11,8,7", "enforce": "everyone"}
    config = rule.argument("config")
    if config is not None:
        text = look.text(config)
        if isinstance(text, Unobserved):
            return text
        settings |= dict(pair for line in text.split("\n") if (pair := line.partition("#")[0].strip().partition("=")[::2])[0])
    settings |= _arguments(rule)
    kinds = settings["min"].split(",")
    if len(kinds) != 5 or not all(kind == "disabled" or _NUMBER.fullmatch(kind) for kind in kinds):
        return Unobserved(Reason.FORMAT, "pam_passwdqc min", Text(f"无法理解：{settings['min']!r}", f"not understood: {settings['min']!r}"))
    lengths = [int(kind) for kind in kinds if kind != "disabled"]
    return _Values(
        minlen=min(lengths, default=0),
        # Only the last kind is made of all four classes; the others, phrases too, are ways around it.
        four_classes=all(kind == "disabled" for kind in kinds[:4]) and kinds[4] != "disabled",
        root=settings["enforce"] == "everyone",
        user=True,
        dictionary=True,
        words=None if "denylist" in settings or "wordlist" in settings else frozenset(),
        enforcing=settings["enforce"] != "none",
    )


def _words_refused(look: Look, rule: PamRule, values: _Values | Unobserved) -> bool | Unobserved:
    wanted = look.site.weak_tokens
    if not wanted:
        return Unobserved(Reason.NO_ANSWER, "weak_tokens", Text("站点未声明弱口令词（weak_tokens）", "the site declares no weak words (weak_tokens)"))
    if isinstance(values, Unobserved):
        return values
    if values.words is None:
        return Unobserved(Reason.FORMAT, rule.module, Text("词表在另一文件中，未采集", "its words stand in a file that is not collected"))
    # The module looks for its words inside the password, so a shorter word covers every longer one.
    return all(any(word in token.lower() for word in values.words) for token in wanted)


def _hash_method(look: Look, stack: pam.Stack) -> tuple[str | Unobserved | None, str]:
    """pam_unix' own argument, else ENCRYPT_METHOD of login.defs."""
    for rule in stack:
        named = next((word for word in HASHES if word in rule.arguments), None)
        if rule.module == "pam_unix" and named is not None:
            return named, "pam_unix"
    people = look.fact(accounts.ageless)
    if isinstance(people, Unobserved):
        return people, "login.defs"
    settings = look.text_or_none("/etc/login.defs")
    if isinstance(settings, Unobserved):
        return settings, "login.defs"
    return people.encrypt_method.lower() if people.encrypt_method else None, "login.defs"
