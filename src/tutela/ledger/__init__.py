"""The ledger: an append-only Merkle log in a plain folder, which either side can verify and neither has to trust.

Formats are those of C2SP (https://c2sp.org): tlog-tiles, signed-note, tlog-checkpoint, tlog-cosignature, tlog-witness, tlog-policy, tlog-proof;
hashes and proofs are those of RFC 6962. Verifiers written by others work on it.

    entry.py       what is logged: a record of a kind, a subject's digest and three times, in canonical bytes     pure
    merkle.py      hashes, inclusion and consistency proofs                                                       pure
    tiles.py       where the hashes of a tree lie in files, and how to get any of them back                       pure
    note.py        signed notes and verifier keys                                                                 pure
    checkpoint.py  a signed tree head                                                                             pure
    signing.py     the signature algorithms
    policy.py      which logs and witnesses make a checkpoint acceptable                                          pure
    witness.py     what a witness cosigns, and what it refuses with which status                                  pure
    fork.py        the proof that a log has shown two histories                                                   pure
    log.py         reading a log, from whatever holds its files
    web.py         a log on a web server, and witnesses that are asked over HTTP
    serving.py     a witness on the network
    store/         keeping a log on disk, and what a witness has seen

What it does not prove: that a host told the truth before the entry was made, or that everything which happened was entered.
"""
