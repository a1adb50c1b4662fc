"""`tutela check --ledger`: what was seen and what was judged, logged where neither side can change it later."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli.clock import now
from tutela.errors import TutelaError, UsageError
from tutela.language import Lang, Text
from tutela.ledger.entry import Kind, Record, new_record
from tutela.report.json import encoded

if TYPE_CHECKING:
    from tutela.agreement.model import Agreement
    from tutela.assess import Assessment

_AT_A_TIME = 256
"""Records that are logged together; one commit costs some milliseconds."""


class Anchor:
    """Logs the bundle, the assessment and the agreements of each assessment that it is given.

    An assessment's digest is that of its JSON on one line, which anybody gets again by judging the bundle with the same edition.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tutela.ledger.store.keeper import Ledger, private_beside

            self._ledger = Ledger(folder, private_beside(folder))
            # A ledger that cannot go on is found out before anybody is looked at.
            self._ledger.head()
        except ModuleNotFoundError as problem:
            if (problem.name or "").startswith("tutela"):
                raise
            raise UsageError(
                Text(
                    f"账本需要 {problem.name}：pip install cryptography rfc3161-client segno",
                    f"the ledger needs {problem.name}: pip install cryptography rfc3161-client segno",
                )
            ) from None
        self._folder = folder
        self._waiting: list[Record] = []
        self._indices: list[int] = []
        self._problem: TutelaError | OSError | None = None

    def add(self, assessment: Assessment) -> None:
        """What one assessment rests on, and the assessment itself. An error waits for `finish`: the report comes first."""
        from tutela.report.json import document

        received = int(now().timestamp())
        at = int(assessment.bundle.collected_at.timestamp())
        self._waiting += [new_record(Kind.AGREEMENT, one.digest, _first_day(one), received) for one in assessment.rulebook.agreements]
        self._waiting.append(new_record(Kind.BUNDLE, assessment.bundle.digest, at, received))
        judged = encoded(document(assessment)).encode()
        self._waiting.append(new_record(Kind.ASSESSMENT, f"sha256:{sha256(judged).hexdigest()}", at, received))
        if len(self._waiting) >= _AT_A_TIME:
            self._log()

    def finish(self, lang: Lang) -> None:
        """Logs what waits, and says where everything is; raises what went wrong on the way."""
        self._log()
        if self._problem is not None:
            raise self._problem
        if self._indices:
            first, last, size = min(self._indices), max(self._indices), len(set(self._indices))
            said = Text(
                f"账本 {self._folder}：{size} 条记录，第 {first} 到 {last} 条（证据、评定、协议）；收据：tutela ledger prove {self._folder} {last}",
                f"ledger {self._folder}: {size} entries, {first} to {last} (evidence, assessment, agreements); a receipt: tutela ledger prove {self._folder} {last}",
            )
            print(said.in_(lang), file=sys.stderr)

    def _log(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._problem is None:
            try:
                self._indices += self._ledger.append(waiting)
            except (TutelaError, OSError) as problem:
                self._problem = problem


def _first_day(agreement: Agreement) -> int:
    """When an edition took effect, as far as its name says: the first day of its year."""
    year = re.match(r"[1-9][0-9]{3}", agreement.edition)
    return int(datetime(int(year[0]), 1, 1, tzinfo=UTC).timestamp()) if year else 0
