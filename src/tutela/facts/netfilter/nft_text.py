"""Rules from a file for `nft -f`, turned into what `nft -j` would print of them, as far as saved rule sets use the language.

Source: nft(8). A rule that is not understood becomes one that decides nothing surely; a file whose outline is not understood is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tutela.facts.netfilter import nft_json
from tutela.facts.netfilter.rules import Ruleset

MAX_TOKENS = 200_000
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\#[^\n]*|\\\n|"[^"]*"|'[^']*'|\n|;|\{|\}|==|!=|<=|>=|<|>|,|\(|\)|\||&|=|@?\$?[A-Za-z0-9_./:*%+~!\[\]-]+|[^\S\n]+|.""",
)
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
_STATES = ("new", "established", "related", "invalid", "untracked")
_VERDICTS = ("accept", "drop", "return", "continue")

Token = str
Read = Callable[[str], "list[str] | None"]
"""Text of the files that an `include` pattern stands for; None when they are not known."""


class NotUnderstoodError(Exception):
    """The outline of the file is not that of nft(8); caught in `read`."""


def read(text: str, included: Read) -> Ruleset | None:
    """The rules that loading this file leaves behind, or None."""
    try:
        objects = _Parser(included).file(text, 0)
        made = nft_json.read_objects(objects)
    except (NotUnderstoodError, RecursionError, ValueError, KeyError, IndexError, TypeError):
        return None
    return made


def _tokens(text: str) -> list[Token]:
    found = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word.startswith("#") or word == "\\\n" or (word.isspace() and word != "\n"):
            continue
        found.append(word)
        if len(found) > MAX_TOKENS:
            raise NotUnderstoodError
    return found


class _Parser:
    """One file and what it includes."""

    def __init__(self, included: Read) -> None:
        self.included = included
        self.variables: dict[str, list[Token]] = {}
        self.objects: list[dict[str, Any]] = []

    def file(self, text: str, depth: int) -> list[dict[str, Any]]:
        """All objects of a file, in order."""
        if depth > 8:
            raise NotUnderstoodError
        tokens = _tokens(text)
        at = 0
        while at < len(tokens):
            word = tokens[at]
            if word in ("\n", ";"):
                at += 1
            elif word == "flush":
                at = self._flush(tokens, at)
            elif word in ("define", "redefine"):
                at = self._define(tokens, at)
            elif word == "undefine":
                at = _line(tokens, at)[1]
            elif word == "include":
                line, at = _line(tokens, at)
                files = self.included(_plain(line[1]))
                if files is None:
                    raise NotUnderstoodError
                for each in files:
                    self.file(each, depth + 1)
            elif word in ("table", "add", "create", "insert", "delete", "destroy"):
                at = self._command(tokens, at)
            else:
                raise NotUnderstoodError
        return self.objects

    def _flush(self, tokens: list[Token], at: int) -> int:
        line, at = _line(tokens, at)
        if line[1:2] == ["ruleset"]:
            self.objects.clear()
        elif line[1:2] == ["table"]:
            family, name, _ = _family(line[2:])
            self.objects = [one for one in self.objects if "rule" not in one or (one["rule"]["family"], one["rule"]["table"]) != (family, name)]
        elif line[1:2] not in (["chain"], ["set"], ["map"]):
            raise NotUnderstoodError
        return at

    def _define(self, tokens: list[Token], at: int) -> int:
        name = tokens[at + 1]
        if tokens[at + 2] != "=":
            raise NotUnderstoodError
        value: list[Token] = []
        depth = 0
        at += 3
        while at < len(tokens) and (depth or tokens[at] not in ("\n", ";")):
            depth += {"{": 1, "}": -1}.get(tokens[at], 0)
            if tokens[at] != "\n":
                value.append(tokens[at])
            at += 1
        self.variables[f"${name}"] = value
        return at

    def _command(self, tokens: list[Token], at: int) -> int:
        verb = "add"
        if tokens[at] in ("add", "create", "insert", "delete", "destroy"):
            verb = tokens[at]
            at += 1
        kind = tokens[at]
        if kind == "table":
            family, name, used = _family(tokens[at + 1 :])
            at += 1 + used
            if verb in ("delete", "destroy"):
                self._forget(family, name)
                return at
            if not any("table" in one and one["table"] == {"family": family, "name": name} for one in self.objects):
                self.objects.append({"table": {"family": family, "name": name}})
            return self._table(tokens, at + 1, family, name) if at < len(tokens) and tokens[at] == "{" else at
        if verb in ("delete", "destroy"):
            raise NotUnderstoodError
        line, end = _line(tokens, at)
        if kind == "chain":
            family, table, used = _family(line[1:])
            self._chain(family, table, line[1 + used], self._expand(line[2 + used :]))
        elif kind == "rule":
            family, table, used = _family(line[1:])
            if verb == "insert" or line[2 + used : 3 + used] in (["position"], ["index"], ["handle"]):
                raise NotUnderstoodError
            self._rule(family, table, line[1 + used], self._expand(line[2 + used :]))
        elif kind in ("set", "map"):
            family, table, used = _family(line[1:])
            self._set(kind, family, table, line[1 + used], line[2 + used :])
        elif kind == "element":
            family, table, used = _family(line[1:])
            self._elements(family, table, line[1 + used], self._expand(line[2 + used :]))
        else:
            raise NotUnderstoodError
        return end

    def _forget(self, family: str, name: str) -> None:
        def mine(one: dict[str, Any]) -> bool:
            ((kind, value),) = one.items()
            return bool(value["family"] == family and (value["name"] if kind == "table" else value["table"]) == name)

        self.objects = [one for one in self.objects if not mine(one)]

    def _table(self, tokens: list[Token], at: int, family: str, name: str) -> int:
        while at < len(tokens):
            word = tokens[at]
            if word == "}":
                return at + 1
            if word in ("\n", ";"):
                at += 1
            elif word in ("define", "redefine"):
                at = self._define(tokens, at)
            elif word == "include":
                raise NotUnderstoodError
            elif word in ("chain", "set", "map", "counter", "quota", "limit", "ct", "flowtable", "synproxy", "secmark"):
                start = tokens.index("{", at)
                body, end = _block(tokens, start)
                if word == "chain":
                    self._chain_block(family, name, tokens[at + 1], body)
                elif word in ("set", "map"):
                    self._set(word, family, name, tokens[at + 1], ["{", *body, "}"])
                at = end
            elif word in ("flags", "comment"):
                line, at = _line(tokens, at)
                if "dormant" in line:
                    self.objects.append({"table": {"family": family, "name": name, "flags": ["dormant"]}})
            else:
                raise NotUnderstoodError
        raise NotUnderstoodError

    def _chain(self, family: str, table: str, name: str, words: list[Token]) -> None:
        body = words[1:-1] if words[:1] == ["{"] and words[-1:] == ["}"] else words
        self._chain_block(family, table, name, body)

    def _chain_block(self, family: str, table: str, name: str, body: list[Token]) -> None:
        chain: dict[str, Any] = {"family": family, "table": table, "name": name}
        rules: list[list[Token]] = []
        for line in _statements(body):
            if line[0] == "type":
                chain |= self._hook(line)
            elif line[0] == "policy":
                chain["policy"] = line[1]
            elif line[0] in ("comment", "flags", "device", "devices"):
                continue
            else:
                rules.append(line)
        known = next((one for one in self.objects if "chain" in one and all(one["chain"][key] == chain[key] for key in ("family", "table", "name"))), None)
        if known is None:
            self.objects.append({"chain": chain})
        else:
            known["chain"] |= chain
        for rule in rules:
            self._rule(family, table, name, self._expand(rule))

    def _hook(self, line: list[Token]) -> dict[str, Any]:
        made: dict[str, Any] = {"type": line[1], "hook": line[line.index("hook") + 1]}
        if "device" in line:
            made["dev"] = _plain(line[line.index("device") + 1])
        words = self._expand(line[line.index("priority") + 1 :])
        number = 0
        sign = 1
        for word in words:
            if word in ("+", "-"):
                sign = -1 if word == "-" else 1
            elif re.fullmatch(r"[+-]?[0-9]+", word):
                number += sign * int(word)
            elif word in _PRIORITIES:
                number += _PRIORITIES[word]
            else:
                raise NotUnderstoodError
        return made | {"prio": number}

    # --- sets

    def _set(self, kind: str, family: str, table: str, name: str, words: list[Token]) -> None:
        made: dict[str, Any] = {"family": family, "table": table, "name": name, "elem": []}
        body = words[1:-1] if words[:1] == ["{"] else words
        elements: list[Token] = []
        if "elements" in body:
            at = body.index("elements")
            if body[at + 1] != "=":
                raise NotUnderstoodError
            inner = self._expand([word for word in body[at + 2 :] if word != "\n"])
            elements = inner[1 : _close(inner, 0)] if inner[:1] == ["{"] else []
        made["elem"] = self._members(elements)
        self.objects.append({kind: made})

    def _elements(self, family: str, table: str, name: str, words: list[Token]) -> None:
        inner = [word for word in words if word != "\n"]
        for one in self.objects:
            for kind in ("set", "map"):
                if kind in one and (one[kind]["family"], one[kind]["table"], one[kind]["name"]) == (family, table, name):
                    one[kind]["elem"] += self._members(inner[1 : _close(inner, 0)])
                    return
        raise NotUnderstoodError

    def _members(self, words: list[Token]) -> list[Any]:
        made: list[Any] = []
        for part in _separated(words, ","):
            plain = [word for word in part if word != "\n"]
            if not plain:
                continue
            key, colon, verdict = _cut(plain, ":")
            for option in ("timeout", "expires", "counter", "comment"):
                if option in key:
                    key = key[: key.index(option)]
            value = self._key(key)
            made.append([value, self._verdict_of(verdict)] if colon else value)
        return made

    def _key(self, words: list[Token]) -> Any:
        parts = _separated(words, ".")
        return {"concat": [self._value(part) for part in parts]} if len(parts) > 1 else self._value(words)

    def _verdict_of(self, words: list[Token]) -> Any:
        if words and words[0] in _VERDICTS:
            return {words[0]: None}
        if len(words) == 2 and words[0] in ("jump", "goto"):
            return {words[0]: {"target": words[1]}}
        if words and re.match(r"[0-9]|[0-9a-fA-F]*:", words[0]):
            return self._key(words)  # where a map sends to: an address, a port, or both
        return {"unknown": " ".join(words)}

    # --- rules

    def _expand(self, words: list[Token], depth: int = 0) -> list[Token]:
        if depth > 8:
            raise NotUnderstoodError
        made: list[Token] = []
        for word in words:
            if word.startswith("$"):
                if word not in self.variables:
                    raise NotUnderstoodError
                made += self._expand(self.variables[word], depth + 1)
            else:
                made.append(word)
        return made

    def _rule(self, family: str, table: str, chain: str, words: list[Token]) -> None:
        expressions = _Expressions(self, [word for word in words if word != "\n"]).all()
        self.objects.append({"rule": {"family": family, "table": table, "chain": chain, "expr": expressions}})

    def _value(self, words: list[Token]) -> Any:
        """One value of a match: number, name, address, prefix, range, set."""
        if words[:1] == ["{"]:
            return {"set": self._members(words[1 : _close(words, 0)])}
        word = _plain("".join(words)) if len(words) > 1 else _plain(words[0])
        if re.fullmatch(r"[0-9]+", word):
            return int(word)
        if "/" in word:
            address, _, length = word.partition("/")
            return {"prefix": {"addr": address, "len": length}}
        low, dash, high = word.partition("-")
        if dash and re.fullmatch(r"[0-9]+-[0-9]+", word):
            return {"range": [int(low), int(high)]}
        if dash and re.match(r"[0-9a-fA-F.:]+$", low) and re.search(r"[.:]", low):
            return {"range": [low, high]}
        return word


class _Expressions:
    """The words of one rule as nft's JSON."""

    def __init__(self, parser: _Parser, words: list[Token]) -> None:
        self.parser = parser
        self.words = words
        self.at = 0

    def all(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        while self.at < len(self.words):
            one = self._one()
            if one is not None:
                made.append(one)
        return made

    def _peek(self, offset: int = 0) -> str:
        return self.words[self.at + offset] if self.at + offset < len(self.words) else ""

    def _take(self) -> str:
        word = self._peek()
        self.at += 1
        return word

    def _one(self) -> dict[str, Any] | None:
        word = self._take()
        if word in _VERDICTS or word in ("notrack", "masquerade"):
            while word == "masquerade" and self.at < len(self.words) and self._peek() in ("random", "persistent", "fully-random", "to"):
                self.at += 2 if self._peek() == "to" else 1
            return {word: None}
        if word in ("jump", "goto"):
            return {word: {"target": self._take()}}
        if word == "reject":
            if self._peek() == "with":
                self.at += 1
                while self._peek() and self._peek() != "comment":
                    self.at += 1
            return {"reject": None}
        if word == "counter":
            while self._peek() in ("packets", "bytes", "name"):
                self.at += 2
            return None
        if word == "log":
            while self._peek() in ("prefix", "level", "group", "snaplen", "queue-threshold", "flags"):
                flags = self._take() == "flags"
                self.at += 1
                if flags and self._peek() in ("sequence", "options", "sequence,options"):
                    self.at += 1
            return None
        if word == "comment":
            self.at += 1
            return None
        if word == "limit":
            return self._limit()
        if word in ("add", "update", "delete") and self._peek().startswith("@") and self._peek(1) == "{":
            end = _close(self.words, self.at + 1)
            inner, self.at = self.words[self.at + 2 : end], self.at + 2
            element, self.at = self._selectors(), end + 1
            return {"set": {"op": word, "elem": element, "stmt": [{"limit": {}}] if {"limit", "count", "quota"} & set(inner) else []}}
        if word in ("dnat", "redirect", "snat"):
            return self._nat(word)
        if word in ("ip", "ip6", "tcp", "udp", "th", "meta", "ct", "iif", "iifname", "oif", "oifname", "icmp", "icmpv6", "fib", "ether"):
            self.at -= 1
            return self._match()
        self.at = len(self.words)
        return {"unknown": " ".join(self.words[:12])}

    def _limit(self) -> dict[str, Any]:
        if self._peek() == "rate":
            self.at += 1
            if self._peek() in ("over", "until"):
                self.at += 1
            self.at += 1 if "/" in self._peek() else 2
            if self._peek() in ("kbytes/second", "mbytes/second", "bytes/second"):
                self.at += 1
            if self._peek() == "burst":
                self.at += 3
        elif self._peek() == "name":
            self.at += 2
        return {"limit": {}}

    def _nat(self, kind: str) -> dict[str, Any]:
        if self._peek() in ("ip", "ip6"):
            self.at += 1
        made: dict[str, Any] = {}
        if self._peek() == "to":
            self.at += 1
            if self._peek().removeprefix(":") in ("ip", "ip6", "tcp", "udp", "th", "meta") and "map" in self.words[self.at :]:
                side = "port" if self._peek().startswith(":") else "addr"
                self.words[self.at] = self._peek().removeprefix(":")
                key = self._selectors()
                self.at += 1
                return {kind: {side: {"map": {"key": key, "data": self._data()}}}}
            word = self._take()
            found = re.fullmatch(r"(?:\[([0-9a-f:]+)\]|([0-9.]+)|([0-9a-f:]+::?[0-9a-f:]*))?(?::([0-9]+))?", word)
            if found is None:
                self.at = len(self.words)
                return {"unknown": f"{kind} to {word}"}
            address = found[1] or found[2] or found[3]
            made = ({"addr": address} if address else {}) | ({"port": int(found[4])} if found[4] else {})
        while self._peek() in ("random", "persistent", "fully-random"):
            self.at += 1
        return {kind: made or None}

    def _selectors(self) -> Any:
        """One field of the packet, or several that dots join."""
        found: list[Any] = [self._selector()]
        while self._peek() == ".":
            self.at += 1
            found.append(self._selector())
        return found[0] if len(found) == 1 else {"concat": found}

    def _match(self) -> dict[str, Any]:
        start = self.at
        key = self._selectors()
        if self._peek() == "vmap":
            self.at += 1
            return {"vmap": {"key": key, "data": self._data()}}
        if self._peek() in ("set", "&", "|"):
            return self._odd(start, key)
        op = self._take() if self._peek() in ("==", "!=", "<", ">", "<=", ">=") else "=="
        words = self._value_words()
        if self._peek() in ("&", "|", "/"):
            return self._odd(start, key)
        return {"match": {"op": op, "left": key, "right": self._right(words)}}

    def _data(self) -> Any:
        """The entries of a map, or the name of one."""
        value = self._value_words()
        return {"set": self.parser._members(value[1 : _close(value, 0)])} if value[:1] == ["{"] else value[0]  # noqa: SLF001 - one parser in two parts

    def _odd(self, start: int, key: Any) -> dict[str, Any]:
        """Changing a mark, masks: known for the flags of TCP, where a new connection begins with SYN alone; else not understood."""
        words = self.words[start:]
        text = " ".join(words)
        flags = re.match(
            r"tcp flags & \( ([a-z| ]+?) \) (==|!=) ([a-z| ()]+?)(?= (?:ct|counter|log|accept|drop|reject|jump|goto|return|limit|tcp|comment)\b|$)", text
        )
        if flags:
            self.at = start + len(flags[0].split())
            mask = [word for word in flags[1].split() if word != "|"]
            wanted = [word for word in flags[3].split() if word not in ("|", "(", ")")]
            return {"match": {"op": flags[2], "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, mask]}, "right": wanted}}
        if re.match(r"(meta|ct) mark set \S+", text):
            self.at = start + 4
            return {"mangle": {"key": key, "value": 1}}
        self.at = len(self.words)
        return {"unknown": text[:120]}

    def _right(self, words: list[Token]) -> Any:
        if words[:1] == ["{"]:
            return self.parser._value(words)  # noqa: SLF001
        parts = _separated(words, ",")
        values = [self.parser._key(part) for part in parts]  # noqa: SLF001
        return values if len(values) > 1 else values[0]

    def _value_words(self) -> list[Token]:
        """The words of a value: a set in braces, a list with commas, a concatenation with dots."""
        if self._peek() == "{":
            end = _close(self.words, self.at)
            found = self.words[self.at : end + 1]
            self.at = end + 1
            return found
        found = [self._take()]
        while self._peek() in (",", "."):
            found += [self._take(), self._take()]
        return found

    def _selector(self) -> dict[str, Any]:
        word = self._take()
        if word in ("iif", "iifname", "oif", "oifname"):
            return {"meta": {"key": word}}
        if word in ("ip", "ip6", "tcp", "udp", "th", "icmp", "icmpv6", "ether"):
            return {"payload": {"protocol": word, "field": self._take()}}
        if word == "meta":
            return {"meta": {"key": self._take()}}
        if word == "ct":
            direction = self._take() if self._peek() in ("original", "reply") else None
            key = self._take()
            if key in ("ip", "ip6"):
                key = f"{key} {self._take()}"
            if key == "count":
                return {"ct": {"key": "packets"}}
            return {"ct": {"key": key} | ({"dir": direction} if direction else {})}
        if word == "fib":
            flags = [self._take()]
            while self._peek() == ".":
                self.at += 1
                flags.append(self._take())
            return {"fib": {"result": self._take(), "flags": flags}}
        return {"unknown": word}


# --- words -----------------------------------------------------------------------------------------------------------


def _plain(word: str) -> str:
    return word[1:-1] if len(word) >= 2 and word[0] == word[-1] and word[0] in "\"'" else word


def _family(words: list[Token]) -> tuple[str, str, int]:
    """Family and name of a table, and how many words they took; `ip` is meant where none stands."""
    if words[0] in ("ip", "ip6", "inet", "arp", "bridge", "netdev"):
        return words[0], words[1], 2
    return "ip", words[0], 1


def _line(tokens: list[Token], at: int) -> tuple[list[Token], int]:
    """Tokens up to the end of the line; a block in braces belongs to it."""
    found: list[Token] = []
    depth = 0
    while at < len(tokens) and (depth or tokens[at] not in ("\n", ";")):
        depth += {"{": 1, "}": -1}.get(tokens[at], 0)
        if depth < 0:
            break
        found.append(tokens[at])
        at += 1
    return found, at


def _block(tokens: list[Token], start: int) -> tuple[list[Token], int]:
    end = _close(tokens, start)
    return tokens[start + 1 : end], end + 1


def _close(tokens: list[Token], start: int) -> int:
    depth = 0
    for at in range(start, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[at], 0)
        if depth == 0:
            return at
        if depth > MAX_DEPTH:
            break
    raise NotUnderstoodError


def _statements(body: list[Token]) -> list[list[Token]]:
    """Lines of a block; a newline inside braces ends nothing."""
    made: list[list[Token]] = [[]]
    depth = 0
    for word in body:
        depth += {"{": 1, "}": -1}.get(word, 0)
        if not depth and word in ("\n", ";"):
            made.append([])
        elif word != "\n":
            made[-1].append(word)
    return [line for line in made if line]


def _separated(words: list[Token], mark: str) -> list[list[Token]]:
    made: list[list[Token]] = [[]]
    depth = 0
    for word in words:
        depth += {"{": 1, "}": -1}.get(word, 0)
        if word == mark and not depth:
            made.append([])
        else:
            made[-1].append(word)
    return made


def _cut(words: list[Token], mark: str) -> tuple[list[Token], bool, list[Token]]:
    return (words[: words.index(mark)], True, words[words.index(mark) + 1 :]) if mark in words else (words, False, [])
