"""The ledger: content-addressed, append-only tables that every step reads from and writes to.

ledger.py       Ledger, Snapshot, Writer: the whole of what the steps use
tables.py       schemas
journal.py      finished rows that are not in Parquet yet
commits.py      which files are valid, in one agreed order
files.py        durable writes, failpoints
maintenance.py  compact, fsck, gc, forget, export, import
"""

from factory.ledger.ledger import Ledger, Snapshot, Writer

__all__ = ["Ledger", "Snapshot", "Writer"]
