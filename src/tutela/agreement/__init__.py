"""What an agreement is: editions, clauses, parties, profiles. Pure; reads text, never a disk."""

from tutela.agreement.model import Agreement, Clause, Implementation, Party, Profile, Row, Table
from tutela.agreement.read import read_agreement, read_profile, read_table

__all__ = ["Agreement", "Clause", "Implementation", "Party", "Profile", "Row", "Table", "read_agreement", "read_profile", "read_table"]
