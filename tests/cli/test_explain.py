from __future__ import annotations

import pytest

from tests import scenes
from tutela.cli.explain import explain
from tutela.language import Lang

CONTENT = scenes.content()
IDS = [clause.id for agreement in CONTENT.agreements.values() for clause in agreement.clauses]
IDS += [row.id for table in CONTENT.tables.values() for row in table.rows]
IDS += [*CONTENT.checks, *CONTENT.by_catalogue()]


@pytest.mark.parametrize("lang", list(Lang))
def test_every_id_is_explained(lang: Lang) -> None:
    for name in IDS:
        lines = list(explain(name, CONTENT, None, lang))
        assert len(lines) >= 3, name
        assert name in "\n".join(lines)
