"""The second factor: PAM modules that ask for one, hardware keys, and who has enrolled."""

from __future__ import annotations

from collections.abc import Mapping

from tutela.evidence import Reason, Unobserved
from tutela.evidence.observed import all_of
from tutela.facts import pam, ssh_keys, ssh_servers
from tutela.facts.look import Look
from tutela.facts.pam import PamRule
from tutela.facts.sshd.settings import password_methods, plain, ways
from tutela.facts.sshd.users import User
from tutela.language import Text
from tutela.record import record

FACTORS = frozenset(
    [
        "pam_google_authenticator",
        "pam_oath",
        "pam_duo",
        "pam_yubico",
        "pam_u2f",
        "pam_privacyidea",
        "pam_python",
        "pam_radius_auth",
        "pam_radius",
        "pam_otpw",
        "pam_totp",
        "pam_authy",
        "pam_multiotp",
        "pam_rublon",
        "pam_securid",
        "pam_fido2",
        "pam_linotp",
    ]
)
"""PAM modules that ask for a second factor."""


@record
class _Stack:
    """Whom sshd's PAM stack lets in."""

    without_factor: bool
    """Somebody who knows the password and does not have the second factor."""
    without_password: bool
    unenrolled: bool
    """Somebody who knows the password and never set up a second factor."""


class SecondFactor:
    """What sshd's PAM stack and the keys of accounts ask for beside a password or a key."""

    def __init__(self, look: Look) -> None:
        services = look.fact(pam.parse)
        self._rules = services if isinstance(services, Unobserved) else services.stack("sshd", "auth")
        self._stack = _admits(self._rules)
        self._files = look.fact(_file_names)
        self._keys = look.fact(ssh_keys.parse)

    def installed(self) -> bool | Unobserved:
        """Whether anything asks for a second factor."""
        return self._rules if isinstance(self._rules, Unobserved) else any(rule.module in FACTORS for rule in self._rules)

    def enrolled(self, user: User) -> bool | Unobserved | None:
        """Whether an account has set up what is asked; None where nothing is.

        Only Google Authenticator keeps its secret in the home; of the others it is not known.
        """
        asked = () if isinstance(self._rules, Unobserved) else tuple(rule for rule in self._rules if rule.module in FACTORS)
        if not asked:
            return None
        if any(rule.module == "pam_google_authenticator" for rule in asked) and not any(rule.argument("secret") for rule in asked) and user.account:
            if isinstance(self._files, Unobserved):
                return self._files
            return f"{user.account.home.rstrip('/')}/.google_authenticator" in self._files
        return Unobserved(Reason.NO_ANSWER, asked[0].file, Text("不知道谁登记了第二因素", "who has enrolled a second factor is not known"))

    def password_enough(self, user: User, unlisted: Unobserved | None) -> bool | Unobserved:
        """Whether PAM lets in who knows the password and nothing else; of whom has not enrolled it may ask nothing else (nullok).

        `unlisted` is why there may be accounts that are not known by name.
        """
        stack = self._stack
        if isinstance(stack, Unobserved) or stack.without_factor or not stack.unenrolled:
            return stack if isinstance(stack, Unobserved) else stack.without_factor
        if user.account is None:
            return unlisted or False  # nobody has this name
        if user.account.password == "locked":
            return False
        enrolled = self.enrolled(user)
        return enrolled if isinstance(enrolled, Unobserved) else not enrolled

    def in_every_way(self, settings: Mapping[str, str], user: User, root_login: str) -> bool | Unobserved:
        """Whether every way in takes two factors."""
        pam_on = settings.get("usepam") == "yes"
        enabled = password_methods(settings, root=user.root, root_login=root_login)
        answers: list[bool | Unobserved] = []
        for way in ways(settings):
            methods = {plain(method) for method in way}
            if "publickey" in methods and settings.get("pubkeyauthentication") != "yes":
                continue
            if methods & {"password", "keyboard-interactive"} and not methods & {"password", "keyboard-interactive"} <= enabled:
                continue
            if methods == {"publickey"}:
                answers.append(self._hardware(user, everywhere="verify-required" in settings.get("pubkeyauthoptions", "")))
            elif methods & {"hostbased", "gssapi-with-mic", "none"} or not pam_on:
                answers.append(False)
            else:
                answers.append(self._refuses_without(user, alone="publickey" not in methods))
        # Where no way is open, nothing is claimed of it.
        return all_of(answers) if answers else False

    def _hardware(self, user: User, *, everywhere: bool) -> bool | Unobserved:
        """Whether all keys of an account are hardware keys that ask for a PIN or a fingerprint."""
        if user.account is None:
            return False
        if isinstance(self._keys, Unobserved):
            return self._keys
        mine = self._keys.of(user.name)
        doubt = next((one for one in mine if isinstance(one, Unobserved)), None)
        known = [one for one in mine if not isinstance(one, Unobserved)]
        if any(not one.type.startswith("sk-") or not (everywhere or "verify-required" in one.options) for one in known):
            return False
        return doubt or bool(known)

    def _refuses_without(self, user: User, *, alone: bool) -> bool | Unobserved:
        """Whether PAM refuses without the second factor; `alone`: it must also refuse without the password."""
        stack = self._stack
        if isinstance(stack, Unobserved):
            return stack
        if stack.without_factor or (alone and stack.without_password):
            return False
        return (self.enrolled(user) or False) if stack.unenrolled else True


def _file_names(look: Look) -> frozenset[str] | Unobserved:
    """Files of ssh that exist."""
    found = look.fact(ssh_servers.files)
    return found if isinstance(found, Unobserved) else frozenset(found)


def _admits(rules: pam.Stack | Unobserved) -> _Stack | Unobserved:
    if isinstance(rules, Unobserved):
        return rules
    return _Stack(
        without_factor=pam.may_succeed(rules, pam.supposing(**dict.fromkeys(FACTORS, "auth_err"))),
        without_password=pam.may_succeed(rules, pam.supposing(**dict.fromkeys(pam.PASSWORD_MODULES, "auth_err"))),
        unenrolled=pam.may_succeed(rules, _unenrolled),
    )


def _unenrolled(rule: PamRule) -> str:
    """The answers of a stack for somebody who knows the password and has not enrolled: pam_u2f has nouserok, pam_oath does not know him."""
    if rule.module in FACTORS:
        if rule.argument("nullok") is not None:
            return "ignore"
        if rule.argument("nouserok") is not None:
            return "success"
        return "user_unknown" if rule.module == "pam_oath" else "auth_err"
    return pam.ALWAYS.get(rule.module, "success")
