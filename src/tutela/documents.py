"""Plain YAML, read strictly, with the place of everything in it.

Only mappings, lists, text, numbers, booleans, dates and null.
Refused: tags, aliases (a few lines of them can grow to gigabytes), duplicate keys, deep nesting, huge files.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from tutela.errors import ContentError
from tutela.language import Text, same
from tutela.record import record

MAX_DOCUMENT_BYTES = 16 << 20
MAX_DEPTH = 40

Path = tuple[str | int, ...]
_REQUIRED: Any = object()
_TAB = Text("这里是制表符；缩进只能用空格", "there is a tab; YAML is indented with blanks only")


@record
class Document:
    """One file's plain data; `marks` gives line and column (from 1) by path."""

    file: str
    data: Any
    marks: Mapping[Path, tuple[int, int]]

    @property
    def root(self) -> Node:
        """Where reading begins."""
        return Node(self, (), self.data)


def read_yaml(raw: bytes, file: str, as_text: frozenset[str] = frozenset()) -> Document:
    """Parse one YAML file; what bears a tag of `as_text` is read as the text it is.

    Raises ContentError for anything that is not plain data.
    """
    import yaml  # costs 10 ms; compiled content never needs it

    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ContentError(Text("文件过大", "the file is too large"), file=file)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ContentError(
            Text(f"不是 UTF-8 文本（第 {problem.start} 字节）；请另存为 UTF-8", f"not UTF-8 text (byte {problem.start}); save it as UTF-8"), file=file
        ) from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    marks: dict[Path, tuple[int, int]] = {}
    try:
        stream = loader(text)
        try:
            # Events, not nodes: a depth bomb must be refused before anything recurses over it.
            depth = 0
            for event in yaml.parse(text, Loader=loader):
                if isinstance(event, yaml.CollectionStartEvent):
                    depth += 1
                elif isinstance(event, yaml.CollectionEndEvent):
                    depth -= 1
                mark = event.start_mark
                line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
                if depth > MAX_DEPTH:
                    raise ContentError(Text("嵌套过深", "nested too deeply"), file=file, line=line, column=column)
                if isinstance(event, yaml.AliasEvent):
                    raise ContentError(Text("不允许使用别名（*name）", "aliases (*name) are not allowed"), file=file, line=line, column=column)
            node = stream.get_single_node()
            data = None if node is None else _plain(node, (), marks, file, stream, as_text)
        finally:
            stream.dispose()
    except yaml.YAMLError as problem:
        raise _not_yaml(problem, file, text) from None
    return Document(file, data, marks)


def top_words(raw: bytes, file: str) -> dict[str, str]:
    """The keys at the top of a YAML file whose value is one word or text, as it is written; whatever else the file holds is passed over.

    Raises ContentError for what is no YAML.
    """
    import yaml

    made: dict[str, str] = {}
    depth = 0
    key: str | None = None
    text = raw.decode("utf-8-sig", "replace")
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif depth == 1 and key is None:
                key = event.value if isinstance(event, yaml.ScalarEvent) else ""
            elif depth == 1:
                if isinstance(event, yaml.ScalarEvent):
                    made[key or ""] = event.value
                key = None
            if isinstance(event, yaml.CollectionStartEvent):
                if depth == 0 and isinstance(event, yaml.SequenceStartEvent):
                    return {}
                depth += 1
    except yaml.YAMLError as problem:
        raise _not_yaml(problem, file, text) from None
    return made


def _plain(node: Any, path: Path, marks: dict[Path, tuple[int, int]], file: str, loader: Any, as_text: frozenset[str]) -> Any:
    import yaml

    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    marks[path] = (line, column)
    if node.tag in as_text and isinstance(node, yaml.ScalarNode):
        return node.value
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rpartition(":")[2] not in _KINDS:
        raise ContentError(Text(f"不允许的类型标记 {node.tag}", f"the tag {node.tag} is not allowed"), file=file, line=line, column=column)
    if isinstance(node, yaml.MappingNode):
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            at = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ContentError(
                    Text("键必须是文字；以 { 开头的值要加引号", "a key must be text; quote a value that begins with {"), file=file, line=at[0], column=at[1]
                )
            if key in made:
                raise ContentError(Text(f"键 {key!r} 重复", f"the key {key!r} occurs twice"), file=file, line=at[0], column=at[1])
            made[key] = _plain(value_node, (*path, key), marks, file, loader, as_text)
            marks[(*path, key)] = at
        return made
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), marks, file, loader, as_text) for index, item in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError):
        raise ContentError(Text(f"无法读取的值 {node.value!r}", f"the value {node.value!r} cannot be read"), file=file, line=line, column=column) from None


_MISTAKES = {
    "tab character": _TAB,
    "cannot start any token": Text("以这个字符开头的值要加引号", "quote a value that begins with this character"),
    "alphabetic or numeric character": Text("以 * 或 & 开头的值要加引号", "quote a value that begins with * or &"),
    "mapping values are not allowed": Text(
        "这里不能有冒号：键写作 key: value（英文冒号加空格），含冒号的值要加引号，缩进要对齐",
        "no colon may stand here: write key: value with a blank behind the colon, quote a value that holds one, and mind the indentation",
    ),
    "expected ':'": Text("上面这行缺少冒号（英文冒号加空格）", "the line above lacks a colon with a blank behind it"),
    "expected key": Text("缩进与上面的行对不齐", "the indentation does not match the lines above"),
    "<document start>": Text("缩进与上面的行对不齐", "the indentation does not match the lines above"),
    "block sequence entries": Text("列表的 - 要另起一行", "the - of a list begins a line of its own"),
    "unexpected end of stream": Text("引号没有配对", "a quotation mark has no partner"),
    "',' or ']'": Text("方括号没有配对，或缺少逗号", "a bracket has no partner, or a comma is missing"),
    "',' or '}'": Text("花括号没有配对，或缺少逗号", "a brace has no partner, or a comma is missing"),
    "another document": Text("一个文件里只能有一份文档（一个 ---）", "a file holds one document (one ---)"),
}
"""What is usually behind a complaint of the parser (libyaml), by words in it."""


def _not_yaml(problem: Any, file: str, text: str) -> ContentError:
    """The parser's complaint, with what is usually behind it."""
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    words = getattr(problem, "problem", None) or getattr(problem, "reason", None) or str(problem)
    said = next((mistake for part, mistake in _MISTAKES.items() if part in words), same(words))
    if mark is None:
        return ContentError(Text(f"YAML 写法有误：{said.zh}", f"not valid YAML: {said.en}"), file=file)
    at, column = mark.line, mark.column
    lines = dict(enumerate(text.split("\n")))
    # The parser notices a colon that is none in the line behind it only.
    wide = next((number for number in (at - 1, at) if "：" in lines.get(number, "") and ":" not in lines[number]), None)
    if lines.get(at, "")[column : column + 1] == "\t":
        said = _TAB
    elif wide is not None:
        at, column = wide, lines[wide].index("：")
        said = Text("键后面要用英文冒号加空格（: ），不是“：”", "behind a key stands an ASCII colon with a blank, not the full-width one")
    return ContentError(Text(f"YAML 写法有误：{said.zh}", f"not valid YAML: {said.en}"), file=file, line=at + 1, column=column + 1)


_KINDS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp"}


@record
class Node:
    """A place in a document; every wrong thing is said with that place."""

    document: Document
    path: Path
    data: Any

    def wrong(self, zh: str, en: str) -> NoReturn:
        """Raise ContentError here."""
        marks = self.document.marks
        path = self.path
        while path not in marks and path:
            path = path[:-1]
        line, column = marks.get(path, (0, 0))
        name = ".".join(str(part) for part in self.path)
        raise ContentError(Text(f"{name}：{zh}" if name else zh, f"{name}: {en}" if name else en), file=self.document.file, line=line, column=column)

    def mapping(self, *, known: frozenset[str] | None = None) -> Node:
        """This node, if it is a mapping with only `known` keys."""
        if not isinstance(self.data, dict):
            self.wrong("应为键值对（键: 值）", "a mapping is expected (key: value)")
        if known is not None:
            for key in self.data:
                if key not in known:
                    words = ", ".join(sorted(known))
                    near = next(iter(difflib.get_close_matches(key, known, 1)), None)
                    meant = Text("", "") if near is None else Text(f"，是不是 {near}？", f" (did you mean {near}?)")
                    Node(self.document, (*self.path, key), None).wrong(f"未知的键{meant.zh}；可用：{words}", f"unknown key{meant.en}; known are: {words}")
        return self

    def has(self, key: str) -> bool:
        """Whether the mapping has `key`."""
        return isinstance(self.data, dict) and key in self.data

    def get(self, key: str, default: Any = _REQUIRED) -> Node:
        """The node under `key`."""
        if not isinstance(self.data, dict):
            self.wrong("应为键值对（键: 值）", "a mapping is expected (key: value)")
        if key not in self.data:
            if default is _REQUIRED:
                self.wrong(f"缺少 {key}", f"{key} is missing")
            return Node(self.document, (*self.path, key), default)
        return Node(self.document, (*self.path, key), self.data[key])

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and nodes of a mapping."""
        if not isinstance(self.data, dict):
            self.wrong("应为键值对（键: 值）", "a mapping is expected (key: value)")
        for key, value in self.data.items():
            yield key, Node(self.document, (*self.path, key), value)

    def each(self) -> Iterator[Node]:
        """The nodes of a list."""
        if not isinstance(self.data, list):
            self.wrong("应为列表", "a list is expected")
        for index, value in enumerate(self.data):
            yield Node(self.document, (*self.path, index), value)

    def text(self) -> str:
        """A non-empty text."""
        if not isinstance(self.data, str) or not self.data:
            self.wrong("应为文字（必要时加引号）", "text is expected (quote it if need be)")
        return str(self.data)

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        if isinstance(self.data, list) and all(isinstance(one, str) and one for one in self.data):
            return tuple(self.data)  # nothing to complain about, so no places are needed
        return tuple(item.text() for item in self.each())

    def integer(self) -> int:
        """A whole number."""
        if not isinstance(self.data, int) or isinstance(self.data, bool):
            self.wrong("应为整数，不加引号", "a whole number is expected, without quotes")
        return int(self.data)

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self.data, bool):
            self.wrong("应为 true 或 false", "true or false is expected")
        return bool(self.data)

    def date(self) -> datetime.date:
        """A date, YYYY-MM-DD."""
        value = self.data
        if isinstance(value, str):
            try:
                value = datetime.date.fromisoformat(value)
            except ValueError:
                self.wrong("应为日期 YYYY-MM-DD", "a date YYYY-MM-DD is expected")
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            self.wrong("应为日期 YYYY-MM-DD", "a date YYYY-MM-DD is expected")
        return value

    def one_of(self, words: Any) -> str:
        """One of the given words."""
        if not isinstance(self.data, str) or self.data not in words:
            listed = ", ".join(str(word) for word in words)
            self.wrong(f"{self.data!r} 不在其中：{listed}", f"{self.data!r} is not one of: {listed}")
        return str(self.data)

    def both(self) -> Text:
        """A text for people: `zh` and `en`, both present."""
        if isinstance(self.data, dict) and self.data.keys() == {"zh", "en"}:
            zh, en = self.data["zh"], self.data["en"]
            if isinstance(zh, str) and isinstance(en, str) and zh and en:
                return Text(zh.strip(), en.strip())
        self.mapping(known=frozenset({"zh", "en"}))
        return Text(self.get("zh").text().strip(), self.get("en").text().strip())
