"""Web servers: what their configuration alone proves.

Sources: nginx (ngx_http_core_module: server_tokens; ngx_http_autoindex_module), Apache (ServerTokens, Options, User), Tomcat's web applications.
Only directives of an allow-list are collected. That no page answers which should not is seen only by asking for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import sockets, units
from tutela.facts.bound import NODE
from tutela.facts.listing import entries, matching
from tutela.facts.look import Look
from tutela.facts.protection_files import NEEDS as FILES
from tutela.facts.protection_files import files
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

NGINX = "/etc/nginx/nginx.conf"
NGINX_FILES = (
    ("/etc/nginx/conf.d", "http", r"[^.].*\.conf"),
    ("/etc/nginx/http.d", "http", r"[^.].*\.conf"),
    ("/etc/nginx/vhosts.d", "http", r"[^.].*\.conf"),
    ("/etc/nginx/default.d", "server", r"[^.].*\.conf"),
    ("/etc/nginx/sites-enabled", "http", r"[^.].*"),
)
"""Where nginx includes files as distributions ship it, into which block, and of which names: Alpine has http.d, openSUSE vhosts.d."""
APACHE = {"/etc/apache2/apache2.conf": "/etc/apache2", "/etc/httpd/conf/httpd.conf": "/etc/httpd", "/etc/apache2/httpd.conf": "/etc/apache2"}
"""Main files of Debian, the RHEL family, openSUSE and Alpine, and where relative paths in them begin (ServerRoot)."""
APACHE_DIRECTORIES = (
    *(f"/etc/apache2/{one}" for one in ("mods-enabled", "conf-enabled", "sites-enabled", "conf.d", "vhosts.d", "sysconfig.d")),
    "/etc/httpd/conf.d",
    "/etc/apache2",
)
MODULES_ONLY = re.compile(r".*\.load|.*/conf\.modules\.d/.*|/etc/letsencrypt/.*")
"""Included files that load modules or set ciphers, and nothing that counts here."""
ENVVARS = "/etc/apache2/envvars"
NEEDS = (NGINX, *APACHE, ENVVARS, *(one + "/" for one in (*(row[0] for row in NGINX_FILES), *APACHE_DIRECTORIES)), *sockets.NEEDS, *units.NEEDS, *FILES)
PROGRAMS = dict.fromkeys(("nginx", "openresty", "angie"), "nginx") | dict.fromkeys(("apache2", "httpd"), "apache")
PROGRAMS |= dict.fromkeys(("httpd-prefork", "httpd-worker", "httpd-event"), "apache")  # openSUSE
OTHERS = frozenset({"caddy", "lighttpd", "haproxy", "traefik", "envoy", "litespeed", "lshttpd", "java", *NODE, "php-fpm", "gunicorn", "uwsgi"})
WEB_PORTS = frozenset({80, 443, 8000, 8008, 8080, 8081, 8443, 8888})
ADMIN_APPS = frozenset({"manager", "host-manager", "examples", "docs"})
MAX_LINES = 20_000
MAX_FILES = 500


@record
class Server:
    """Server(kind='nginx', version_hidden=True, listings=(), user='www-data', root=False, admin_apps=())"""

    kind: str
    """nginx | apache | tomcat | the name of another program"""
    version_hidden: bool | Unobserved
    listings: tuple[str, ...] | Unobserved
    """Places in the configuration that list directories."""
    user: str | Unobserved
    as_root: bool | Unobserved
    """Whether requests are answered as root."""
    admin_apps: tuple[str, ...] | Unobserved
    """Administration and example applications that are deployed."""


@record
class Web:
    """Web(servers=(Server(…),), answers=Unobserved(…))"""

    servers: tuple[Server, ...]
    answers: tuple[str, ...] | Unobserved
    """Sensitive paths that answer with 200."""


def parse(look: Look) -> Web | Unobserved:
    """The fact."""
    seen = look.fact(sockets.parse)
    if isinstance(seen, Unobserved):
        return seen
    kinds: dict[str, None] = {}
    for one in seen.listening:
        if one.protocol != "tcp" or isinstance(one.process, Unobserved):
            if one.protocol == "tcp" and one.port in WEB_PORTS:
                kinds["?"] = None
            continue
        name = one.process or ""
        if name in PROGRAMS:
            kinds[PROGRAMS[name]] = None
        elif one.port in WEB_PORTS or (name in OTHERS and not one.local):
            kinds["tomcat" if name == "java" and _tomcat_unit(look) else name] = None
    readers = {"nginx": _nginx, "apache": _apache, "tomcat": _tomcat}
    servers = tuple(readers.get(kind, lambda _, kind=kind: _other(kind))(look) for kind in kinds)
    scan = Unobserved(Reason.NO_VANTAGE, "scan", Text("需要请求敏感路径才能知道是否有人应答", "whether a sensitive path answers is seen only by asking for it"))
    return Web(servers, scan if servers else ())


def _other(kind: str) -> Server:
    doubt = Unobserved(Reason.FORMAT, kind, Text("不认识的网站程序，没有读取它的配置", "a web program that is not known: its configuration is not read"))
    return Server(kind, doubt, doubt, doubt, doubt, ())


def _nginx_files(look: Look) -> tuple[list[tuple[str, str, str]], Unobserved | None]:
    """Included files: path, block, text; and why it may not be all of them."""
    found: list[tuple[str, str, str]] = []
    doubt: Unobserved | None = None
    for directory, block, pattern in NGINX_FILES:
        if directory.endswith(("http.d", "vhosts.d")) and look.source(f"{directory}/").status is Status.MISSING:
            continue  # a bundle of an older probe; few distributions have them
        names = entries(look, directory)
        doubt = doubt or unseen(look, f"{directory}/")
        for name in () if isinstance(names, Unobserved) else names:
            if not re.fullmatch(pattern, name):
                continue
            text = look.text(f"{directory}/{name}")
            if isinstance(text, str):
                found.append((f"{directory}/{name}", block, text))
            doubt = doubt or unseen(look, f"{directory}/{name}")
    return found, doubt


def _nginx(look: Look) -> Server:
    main = look.text(NGINX)
    if isinstance(main, Unobserved):
        return Server("nginx", main, main, main, main, ())
    others, doubt = _nginx_files(look)
    texts = [(NGINX, "main", main), *others]
    everywhere, shown, silent, listings, user = False, 0, 0, [], ""
    for path, top, text in texts:
        for number, depth, block, words, hidden in _nginx_lines(text, top=top):
            if words[:1] == ["server_tokens"] and block == "http":
                everywhere = words[1:2] == ["off"]
            elif words[:1] == ["server_tokens"] and words[1:2] != ["off"]:
                shown += 1
            elif words[:2] == ["autoindex", "on"]:
                listings.append(f"{path}:{number}")
            elif words[:1] == ["user"] and depth == 0 and len(words) > 1:
                user = words[1]
            elif words == ["end of server"] and not hidden:
                silent += 1
    # What stands beside the servers holds for those that say nothing themselves, wherever it stands.
    version_hidden = shown == 0 and (everywhere or (silent == 0 and any("server_tokens off" in text for _, _, text in texts)))
    user = user or "nobody"
    return Server("nginx", doubt or version_hidden, _sure(listings, doubt), user, user == "root", ())


def _sure(listings: list[str], doubt: Unobserved | None) -> tuple[str, ...] | Unobserved:
    """What was found stands; that there is no more stands only where all was seen."""
    return doubt if doubt is not None and not listings else tuple(listings)


def _nginx_lines(text: str, top: str) -> Iterator[tuple[int, int, str, list[str], bool]]:
    """Directives with the block they stand in: (line, depth, block, words, whether the server block has hidden its version)."""
    stack: list[list[object]] = []
    for number, line in enumerate(text.split("\n")[:MAX_LINES], 1):
        for token in re.findall(r"[^;{}]*[;{}]", line[:4000]):
            words = token[:-1].split()
            block = str(stack[-1][0]) if stack else top
            if token[-1] == "{":
                stack.append([words[0] if words else "", False])
            elif words:
                if words[:2] == ["server_tokens", "off"] and stack:
                    stack[-1][1] = True
                yield number, len(stack), block, words, False
            if token[-1] == "}" and stack:
                name, hidden = stack.pop()
                if name == "server" and (not stack or stack[-1][0] == "http"):
                    yield number, len(stack), top, ["end of server"], bool(hidden)


def _apache(look: Look) -> Server:
    main_path = next((name for name in APACHE if look.source(name).status is not Status.ABSENT), "/etc/apache2/apache2.conf")
    main = look.text(main_path)
    if isinstance(main, Unobserved):
        return Server("apache", main, main, main, main, ())
    tokens, signature, listings, user = "Full", "Off", [], ""
    doubt: Unobserved | None = None
    for path, number, words in _apache_lines(look, main_path, main):
        if isinstance(words, Unobserved):
            doubt = doubt or words
            continue
        key = words[0].lower()
        if key == "servertokens" and len(words) > 1:
            tokens = words[1]
        elif key == "serversignature" and len(words) > 1:
            signature = words[1]
        elif key == "options" and any(word.lower() in ("indexes", "+indexes", "all", "+all") for word in words[1:]):
            listings.append(f"{path}:{number}")
        elif key == "user" and len(words) > 1:
            user = words[1]
    if user.startswith("${"):
        values = look.text(ENVVARS)
        found = re.search(rf"{re.escape(user[2:-1])}=(\w[\w-]{{0,40}})", values) if isinstance(values, str) else None
        user = found[1] if found else ""
    modules = entries(look, "/etc/apache2/mods-enabled")
    listed = _sure(listings, doubt)
    if isinstance(modules, Unobserved):
        listed = unseen(look, "/etc/apache2/mods-enabled/") or listed
    elif modules and "autoindex.load" not in modules:
        listed = ()
    nobody = Unobserved(Reason.FORMAT, main_path, Text("没有看到运行账户", "the account it runs as is not visible"))
    hidden = doubt or (tokens.lower() in ("prod", "productonly") and signature.lower() == "off")
    return Server("apache", hidden, listed, user or nobody, user == "root" if user else nobody, ())


def _apache_lines(look: Look, path: str, text: str) -> Iterator[tuple[str, int, list[str] | Unobserved]]:
    """Directives in the order in which Apache reads them, included files in place, since the last of some counts; and files that were not seen."""
    root, read = APACHE[path], 0
    stack = [(path, enumerate(text.split("\n")[:MAX_LINES], 1))]
    while stack:
        path, lines = stack[-1]
        number, line = next(lines, (0, ""))
        words = line.split()
        if not number:
            stack.pop()
        elif words and words[0].lower() in ("include", "includeoptional") and len(words) > 1:
            files = _apache_included(look, root, words[1].strip("\"'"))
            read += 1 if isinstance(files, Unobserved) else len(files)
            if isinstance(files, Unobserved) or read > MAX_FILES:
                yield path, number, files if isinstance(files, Unobserved) else Unobserved(Reason.FORMAT, path, Text("包含的文件过多", "too many includes"))
                if read > MAX_FILES:
                    return
                continue
            texts = [(name, look.text_or_none(name)) for name in files]
            for name, inner in reversed(texts):
                if isinstance(inner, str):
                    stack.append((name, enumerate(inner.split("\n")[:MAX_LINES], 1)))
                elif inner is not None:
                    yield name, 0, inner
        elif words:
            yield path, number, words


def _apache_included(look: Look, root: str, wanted: str) -> tuple[str, ...] | Unobserved:
    """Paths that an Include stands for; a directory stands for all its files."""
    pattern = wanted if wanted.startswith("/") else f"{root}/{wanted}"
    if MODULES_ONLY.fullmatch(pattern):
        return ()
    if pattern.rstrip("/") in APACHE_DIRECTORIES:
        pattern = f"{pattern.rstrip('/')}/*"
    names = matching(look, pattern)
    return names if isinstance(names, Unobserved) else tuple(name for name in names if not MODULES_ONLY.fullmatch(name))


def _tomcat_unit(look: Look) -> bool:
    up = look.fact(units.up)
    return not isinstance(up, Unobserved) and any(unit.running and unit.id.startswith("tomcat") for unit in up.by_id.values())


def _tomcat(look: Look) -> Server:
    up = look.fact(units.up)
    unit = None if isinstance(up, Unobserved) else next((one for one in up.by_id.values() if one.running and one.id.startswith("tomcat")), None)
    user = up if isinstance(up, Unobserved) else (unit.user or "root") if unit is not None else ""
    seen = files(look)
    doubt = Unobserved(Reason.FORMAT, "tomcat", Text("没有读取 Tomcat 的配置", "Tomcat's configuration is not read"))
    apps: tuple[str, ...] | Unobserved = seen if isinstance(seen, Unobserved) else ()
    if not isinstance(seen, Unobserved):
        found = (re.fullmatch(r"/(?:var/lib|usr/share|opt)/tomcat[^/]{0,40}/webapps/([^/]{1,100})", path) for path in seen)
        apps = tuple(sorted({one[1] for one in found if one is not None and one[1] in ADMIN_APPS}))
    return Server("tomcat", doubt, doubt, user, user if isinstance(user, Unobserved) else user == "root", apps)
