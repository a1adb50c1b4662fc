"""`ledger fsck`: everything that a checkpoint stands for, recomputed from the entries.

Of the writer's code it shares the formats of notes, checkpoints and entries, and nothing else: hashing, paths and the shape of the tree are worked out here a second time,
so that no mistake over there hides itself. Memory stays flat at any size.

finding.py      what is found: a file, and what is wrong with it
layout.py       where a tree lies in files, and its hashes
identities.py   which record stands where
heads.py        the checkpoints that the log has signed
examination.py  the entries, the tiles and the checkpoints
strays.py       what else lies in a log's folder
private.py      the private folder: its state and its table
"""
