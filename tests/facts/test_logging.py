"""Logs and time: selectors as rsyslog reads them, and bytes nobody wrote on purpose."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import audit, journal, log_files, log_forwarding, log_retention, log_samples, logrotate, plain_yaml, time_sync
from tutela.facts.syslog import agents, coverage, rsyslog, syslog_ng

SHIPPED = "[Journal]\n#ForwardToSyslog=yes\n"
"""As Debian 12 ships it: the commented line tells how systemd was built."""
JOURNALD: dict[str, Any] = {name: {"status": "absent"} for name in journal.CONFIGURATION} | {journal.CONF: SHIPPED}
INPUTS = 'module(load="imuxsock")\nmodule(load="imklog")\n'


def sent(selector: str) -> dict[str, str]:
    """`{'auth': '76543210'}`: severities by number, 0 is emerg, of the facilities that are not wholly left out."""
    mask = coverage.selector(selector)
    assert mask is not None
    found = {}
    for number, name in enumerate(coverage.FACILITIES):
        levels = "".join(str(s) for s in range(8) if mask[number * 8 + s] == coverage.ALL)
        if levels:
            found[name] = levels
    return found


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("auth,authpriv.*", {"auth": "01234567", "authpriv": "01234567"}),
        ("kern.err", {"kern": "0123"}),
        ("kern.=err", {"kern": "3"}),
        ("kern.*;kern.!err", {"kern": "4567"}),
        ("kern.!=err", {"kern": "0124567"}),
        ("mail.info;mail.!warning", {"mail": "56"}),
        ("security.crit", {"auth": "012"}),
        ("local7.=debug;local7.=info", {"local7": "67"}),
        ("cron.none;cron.emerg", {"cron": "0"}),
    ],
)
def test_a_selector_means_what_rsyslog_makes_of_it(selector: str, expected: dict[str, str]) -> None:
    assert sent(selector) == expected


def test_everything_but_mail() -> None:
    assert set(sent("*.info;mail.none")) == set(coverage.FACILITIES) - {"mail"}


@pytest.mark.parametrize("selector", ["nobody.*", "auth.loud", "auth", ".*", "auth."])
def test_a_selector_rsyslog_refuses_is_no_selector(selector: str) -> None:
    assert coverage.selector(selector) is None


def routes(text: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    found = rsyslog.read(scenes.look({"sources": JOURNALD | {rsyslog.MAIN: INPUTS + text}}))
    return [(route.host, coverage.missing(route.mask), coverage.doubtful(route.mask)) for route in found.routes if not isinstance(route.mask, Unobserved)]


REQUIRED = ("auth", "authpriv", "kern", "daemon")


@pytest.mark.parametrize(
    ("inputs", "journald", "missing"),
    [
        (INPUTS, "ForwardToSyslog=no", ("auth", "authpriv", "daemon")),
        (INPUTS, "MaxLevelSyslog=notice", ("auth.info", "authpriv.info", "daemon.info")),
        (INPUTS, "ForwardToSyslog=no\nForwardToSyslog=", ()),
        ('module(load="imuxsock" SysSock.Use="off")\nmodule(load="imklog")\n', "", ("auth", "authpriv", "daemon")),
        ('module(load="imuxsock" SysSock.Use="off")\nmodule(load="imklog")\ninput(type="imuxsock" Socket="/run/systemd/journal/syslog")\n', "", ()),
        ("$ModLoad imuxsock\n$ModLoad imklog\n$OmitLocalLogging on\n", "", ("auth", "authpriv", "daemon")),
        ('module(load="imjournal")\n', "ForwardToSyslog=no", ()),
    ],
)
def test_what_journald_keeps_or_nobody_listens_to_reaches_no_forward(inputs: str, journald: str, missing: tuple[str, ...]) -> None:
    found = rsyslog.read(scenes.look({"sources": JOURNALD | {journal.CONF: SHIPPED + journald, rsyslog.MAIN: f"{inputs}*.* @h\n"}}))

    assert [coverage.missing(route.mask) for route in found.routes if not isinstance(route.mask, Unobserved)] == [missing]


def test_without_systemd_journald_conf_says_nothing() -> None:
    left = {journal.CONF: "[Journal]\nForwardToSyslog=no", log_forwarding.STATES: {"status": "absent"}}
    found = rsyslog.read(scenes.look({"sources": JOURNALD | left | {rsyslog.MAIN: f"{INPUTS}*.* @h\n"}}))

    assert [coverage.missing(route.mask) for route in found.routes if not isinstance(route.mask, Unobserved)] == [()]


@pytest.mark.parametrize(
    ("text", "missing", "doubtful"),
    [
        ('if $programname == "x" then stop\n*.* @h', (), ()),
        ('if not ($programname == "x") then stop\n*.* @h', REQUIRED, ()),
        ('if $programname != "x" then stop\n*.* @h', REQUIRED, ()),
        ('if $fromhost-ip == "127.0.0.1" then stop\n*.* @h', REQUIRED, ()),
        ('if $fromhost-ip != "127.0.0.1" then stop\n*.* @h', (), ()),
        ('if $inputname == "imtcp" then stop\n*.* @h', (), ()),
        ('if prifilt("kern.*") then stop\n*.* @h', ("kern",), ()),
        ('if $syslogfacility-text == ["auth", "authpriv"] then { action(type="omfwd" target="h") stop }', ("kern", "daemon"), ()),
        ("if $syslogseverity <= 6 then @h", (), ()),
        ('if $syslogseverity <= 6 and $syslogfacility-text == "auth" or $syslogfacility-text == "kern" then @h', ("authpriv", "daemon"), ()),
        ('set $.here = "yes";\nif $.here == "yes" then @h', (), REQUIRED),
        ("if 1 == 1 then @h", (), REQUIRED),
        (':msg, contains, "x" stop\n:msg, !contains, "y" @h', (), ()),
        (':msg, contains, "x" @h', REQUIRED, ()),
        ("*.* { @h\n}", (), ()),
        ('ruleset(name="a") { call b }\nruleset(name="b") { *.* @h\n}\ncall a', (), ()),
        ('ruleset(name="a") { stop }\ncall a\n*.* @h', REQUIRED, ()),
        ("$RuleSet remote\n*.* ~\n$RuleSet RSYSLOG_DefaultRuleset\n*.* @h", (), ()),
        ('action(type="omfwd" target="h") # to the centre', (), ()),
        ("/* *.* ~\n*/\n*.* @h", (), ()),
        ("*.=info;\\\n   *.=notice;*.warning\t@h", (), ()),
    ],
)
def test_what_reaches_a_forward(text: str, missing: tuple[str, ...], doubtful: tuple[str, ...]) -> None:
    assert routes(text) == [("h", missing, doubtful)]


def test_of_another_parts_file_what_the_part_of_logging_saw_counts() -> None:
    files = {rsyslog.MAIN: INPUTS + "$IncludeConfig /opt/x.conf\n", "/opt/x.conf": "", "/opt/x.conf (rsyslog)": "*.* @h\n"}
    assert [route.host for route in rsyslog.read(scenes.look({"sources": files})).routes] == ["h"]


def test_rulesets_that_call_each_other_come_to_an_end() -> None:
    assert routes('ruleset(name="a") { call b }\nruleset(name="b") { call a }\ncall a\n*.* @h')[-1][0] == "h"


def test_rulesets_that_call_themselves_again_and_again_are_not_followed_for_ever_and_nothing_is_sure_then() -> None:
    calls = 'ruleset(name="a") {\n' + "call a\n" * 10 + "}\ncall a\n*.* @192.0.2.45\n"
    look = scenes.look({"sources": JOURNALD | {rsyslog.MAIN: INPUTS + calls}, "site": {"log_servers": ["192.0.2.45"]}})

    routing, fact = look.fact(rsyslog.read), look.fact(log_forwarding.parse)

    assert [one.why.en for one in routing.unread] == ["rulesets call each other too often to follow them all"]
    assert isinstance(fact, log_forwarding.LogForwarding)
    assert isinstance(fact.missing, Unobserved)


def test_what_is_not_understood_is_said_and_nothing_is_sure_then() -> None:
    look = scenes.look({"sources": {rsyslog.MAIN: INPUTS + "*.* @192.0.2.45\n((((\n"}, "site": {"log_servers": ["192.0.2.45"]}})

    fact = look.fact(log_forwarding.parse)

    assert isinstance(fact, log_forwarding.LogForwarding)
    assert isinstance(fact.missing, Unobserved)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weekly\nrotate 4", 28),
        ("weekly\nrotate 27", 189),
        ("monthly\nrotate 6", 180),
        ("rotate 185\ndaily", 185),
        ("weekly\nrotate 27\nmaxage 90", 90),
        ("weekly\nrotate -1", logrotate.FOREVER),
        ("weekly\nrotate 0", 0),
        ("size=10M\nrotate 27", None),
        ("size 10M\nweekly\nrotate 27", 189),
        ("weekly\nsize 10M\nrotate 27", None),
        ("weekly\nmaxsize 10M\nrotate 27", None),
        ("weekly\nminsize 1M\nrotate 27", 189),
    ],
)
def test_days_that_logrotate_keeps_without_knowing_the_volume(text: str, expected: int | None) -> None:
    rules = logrotate.read(scenes.look({"sources": {logrotate.MAIN: f"/var/log/a /var/log/b.log {{\n{text}\n}}\n"}}))

    assert not isinstance(rules, Unobserved)
    rule = logrotate.rule_for(rules, "/var/log/b.log")
    assert rule is not None
    assert rule.days(None) == expected


def test_a_wildcard_of_logrotate_does_not_cross_a_slash_and_the_first_rule_counts() -> None:
    conf = "/var/log/*.log {\n rotate 9\n}\n/var/log/nginx/*.log /var/log/a.log {\n rotate 1\n}\n"
    rules = logrotate.read(scenes.look({"sources": {logrotate.MAIN: conf}}))

    assert not isinstance(rules, Unobserved)
    found = [logrotate.rule_for(rules, path) for path in ("/var/log/a.log", "/var/log/nginx/a.log", "/var/log/nginx/x/a.log")]
    assert [rule and rule.rotate for rule in found] == [9, 1, None]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("0", 0), ("1month", 2_630_016), ("190day", 190 * 86400), ("2 weeks", 14 * 86400), ("1y 6month", 47_337_696), ("90d12h", 7_819_200), ("600", 600)],
)
def test_spans_of_time_as_systemd_writes_them(words: str, seconds: int) -> None:
    sources = {journal.CONF: f"[Journal]\nMaxRetentionSec={words}\n", **{f"{one}/": {"status": "absent"} for one in journal.DROPINS}}
    fact = scenes.look({"sources": sources | {log_files.STAT: "755 root root 4096 1 0 directory|/var/log"}}).fact(journal.parse)

    assert isinstance(fact, journal.Journal)
    assert fact.max_retention_s == pytest.approx(seconds, abs=200)


# --- bytes nobody wrote on purpose ------------------------------------------------------------------------------------

SCRIPT = st.text(alphabet="\x0c\rab*.;,!=@:/&~{}()[]\"'#\\ \n\t$1if then", max_size=120)
LINES = st.lists(
    st.sampled_from(
        ['if $msg == "x" then {', "}", "*.* @h", "& stop", 'action(type="omfwd"', ")", "call a", 'ruleset(name="a") {', "$RuleSet a", "else", "\\"]
    ),
    max_size=12,
)


@given(SCRIPT)
@example("if (" * 300)
@example("\x0c")
@example("*.*\r\n\u2028")
@example("{" * 5000)
@example("if " + "not (" * 3000 + " then stop")
def test_no_script_makes_rsyslogs_reader_raise(text: str) -> None:
    rsyslog.read(scenes.look({"sources": {rsyslog.MAIN: text, "/etc/rsyslog.d/": ""}}))


@given(LINES)
@example(['ruleset(name="a") {', *["call a"] * 10, "}", "call a"])
def test_no_order_of_statements_makes_rsyslogs_reader_raise(lines: list[str]) -> None:
    rsyslog.read(scenes.look({"sources": {rsyslog.MAIN: "\n".join(lines)}}))


@given(st.text(alphabet="log source{}();\"'ds()nottcp,.filter \n@include/*", max_size=150))
@example("filter f { " + "not (" * 3000)
@example("log { " * 3000)
@example("destination d { tcp(" + "a(" * 3000)
def test_no_text_makes_syslog_ngs_reader_raise(text: str) -> None:
    syslog_ng.read(scenes.look({"sources": {syslog_ng.MAIN: text}}))


@given(st.text(alphabet="ab: -[]{}\"'#\n|>,&*\t", max_size=120))
@example("- " * 5000)
@example("a:\n" + "".join(" " * n + "a:\n" for n in range(500)))
def test_no_text_makes_the_yaml_reader_raise(text: str) -> None:
    plain_yaml.read(text)


@given(st.text(max_size=80), st.sampled_from([*agents.FLUENT_BIT, *agents.VECTOR, agents.FILEBEAT, agents.JOURNAL_UPLOAD]))
def test_no_configuration_of_an_agent_makes_its_reader_raise(text: str, name: str) -> None:
    scenes.look({"sources": {name: text}, "site": {"log_servers": ["192.0.2.45"]}}).fact(log_forwarding.parse)


@given(st.text(alphabet="/var log.*{}\n\"'#dailyrotate 0-9size=kM", max_size=120))
def test_no_text_makes_the_reader_of_logrotate_raise(text: str) -> None:
    logrotate.read(scenes.look({"sources": {logrotate.MAIN: text}}))


STAT_LINE = st.from_regex(
    r"[0-7]{1,5} [a-z?]{1,4} [a-z?]{1,4} [0-9]{1,18} -?[0-9]{1,12} (-?[0-9]{1,12}|\?|W) [a-z ]{1,12}\|/var/log/[a-z.@0-9/-]{0,30}", fullmatch=True
)


@given(st.lists(STAT_LINE, max_size=6), st.text(max_size=40))
def test_no_listing_of_logs_makes_a_fact_raise(lines: list[str], more: str) -> None:
    text = "\n".join([*lines, "755 root root 4096 1795334400 0 directory|/var/log", more])
    look = scenes.look({"sources": {log_files.STAT: text, log_files.HIDDEN: "0", journal.CONF: "[Journal]\n" + more, logrotate.MAIN: more}})

    for parse in (log_files.parse, journal.parse, log_retention.parse):
        look.fact(parse)


@given(st.text(max_size=120), st.text(alphabet="-wF S/a,=path\n", max_size=80))
def test_no_answer_of_a_daemon_makes_a_fact_raise(text: str, rules: str) -> None:
    sources = dict.fromkeys(
        (audit.STATE, time_sync.CHRONY, time_sync.NTPQ, time_sync.OPENNTPD, time_sync.SYNCHRONIZED, time_sync.TIMESYNC, "meta", log_samples.COUNTS), text
    )
    look = scenes.look({"sources": sources | {audit.RULES: rules, "systemd-detect-virt": text}})

    for parse in (audit.parse, time_sync.parse, log_samples.parse):
        look.fact(parse)


@given(st.text(max_size=120), st.text(max_size=60))
def test_no_state_of_a_shipper_makes_the_fact_raise(text: str, more: str) -> None:
    sources = {
        rsyslog.MAIN: INPUTS + "*.* @192.0.2.45",
        log_forwarding.STATES: text,
        log_forwarding.MODIFIED: more,
        log_forwarding.COMPLAINTS: more,
        "/proc/uptime": more,
        "meta": text,
    }

    scenes.look({"sources": sources}).fact(log_forwarding.parse)
