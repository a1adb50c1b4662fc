"""The ledger: an append-only Merkle log in a plain folder, which either side can verify and neither has to trust.

Formats are those of C2SP (https://c2sp.org): tlog-tiles, signed-note, tlog-checkpoint, tlog-cosignature, tlog-witness, tlog-policy, tlog-proof;
hashes and proofs are those of RFC 6962. Verifiers written by others work on it.

    entry.py       what is logged: a record of a kind, a subject's digest and three times, in canonical bytes     pure
    merkle.py      hashes, inclusion and consistency proofs                                                       pure
    tiles.py       where the hashes of a tree lie in files, and how to get any of them back                       pure
    note.py        signed notes and verifier keys                                                                 pure
    checkpoint.py  a signed tree head                                                                             pure
    signing.py     the signature algorithms

What it does not prove: that a host told the truth before the entry was made, or that everything which happened was entered.
"""
