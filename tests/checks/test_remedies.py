"""What tests/hosts/test_remedies.py does on real hosts is what the remedies print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import scenes
from tutela.language import Lang

REMEDIES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[1] / "hosts" / "remedies.yaml").read_text("utf-8"))
WORDS = {
    "ADMIN-NETWORK": "管理网段",
    "LOGSERVER": "日志服务器",
    "BACKUP_HOST": "备份机",
    "requirepass PASSWORD": "requirepass 口令",
    "WORD WORD": "词 词",
    "ADDRESS/PREFIX dev INTERFACE": "地址/前缀 dev 网卡",
}
"""Words to fill in that the Chinese text has in Chinese; the others are the same in both."""


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("entry", REMEDIES, ids=lambda entry: f"{entry['check']} on {entry['role']}")
def test_what_is_done_on_hosts_is_printed(entry: dict[str, Any], lang: Lang) -> None:
    check = next(one for one in scenes.content().checks.values() if one.catalogue == entry["check"])
    text = check.remedy.in_(lang)
    done = [step["run"] for step in entry["do"] if "run" in step]
    for step in entry["do"]:
        for path, said in (*step.get("write", {}).items(), *step.get("set", {}).items()):
            # The directory may stand elsewhere in the text.
            done += [path if path in text else Path(path).name, *(said.splitlines() if isinstance(said, str) else said)]
    if lang is Lang.ZH:
        for english, chinese in WORDS.items():
            done = [words.replace(english, chinese) for words in done]

    assert [words for words in done if words not in text] == []
