"""Keeping a log on disk: one writer at a time, nothing acknowledged before it is durable; and what a witness remembers of logs.

folder.py    a log's files in a folder, for reading
durable.py   files that are on the disk once a call returns
fresh.py     empty folders for a new ledger or witness
known.py     which records are logged already, and where
spool.py     what several appenders hand to the one that writes
keeper.py    the writer
keys.py      files of private keys
seen.py      what a witness has seen
"""
