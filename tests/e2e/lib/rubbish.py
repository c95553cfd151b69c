"""Fills a database of hutchd's with rows that nobody has checked.

    rubbish.py DATABASE     with the daemon down; prints how many rows there are of each table

Of each table, each column that is not sealed and each kind of rubbish there is a row like its first one, but for that column. Rows that
were there stay as they are, as do keys: a box's id is the daemon's own, and the name of its files.
"""
import json
import sqlite3
import sys

RUBBISH = {
    "TEXT": ["[" * 200_000, "x" * 1_000_000, "\x01\x7f\n=\n\r\x00=\x00'\"", "\udcff\udc80"],
    "INTEGER": [-1, 2**63 - 1, -(2**63), 4_294_967_297],
}
KEPT = {"id", "run", "owner", "box", "customer", "name", "number", "hash", "period", "provider", "uid_slot", "key"}
# What nobody but the daemon writes, and what does not open is the wrong key: a start that refuses is right then.
SEALED = {"env", "git_token", "api_key", "mcp_servers", "webhook_url", "webhook_headers", "key"}
OPEN = {"runs": {"status": 0}, "prompts": {"ended": 0}, "boxes": {"init_pid": 0, "name": None}}


def copies(db, table, like):
    """The rows for one table: each a dictionary."""
    types = {name: kind for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})")}
    for column, kind in types.items():
        if column in KEPT | SEALED:
            continue
        for value in RUBBISH[kind]:
            yield {**like, **dict.fromkeys(SEALED & like.keys(), ""), **OPEN.get(table, {}), column: value}


def insert(db, table, row):
    marks = ", ".join("?" * len(row))
    bound = [v.encode("utf-8", "surrogateescape") if isinstance(v, str) else v for v in row.values()]
    # Bytes become text by a cast, whatever they are.
    marks = ", ".join("CAST(? AS TEXT)" if isinstance(v, bytes) else "?" for v in bound)
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", bound)


def main():
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.text_factory = lambda sealed: sealed.decode("utf-8", "surrogateescape")  # secrets are bytes
    db.execute("BEGIN")
    counts = {}
    for table in ("boxes", "runs", "prompts", "agents", "snapshots", "images", "usage", "layers", "model_keys"):
        cursor = db.execute(f"SELECT * FROM {table} LIMIT 1")
        names = [column[0] for column in cursor.description]
        first = cursor.fetchone()
        if first is None:
            continue
        first = dict(zip(names, first))
        for count, row in enumerate(copies(db, table, first), 1):
            fresh = f"rubbish-{table}-{count}"
            for key in {"id", "run", "owner", "hash", "period", "provider"} & row.keys():
                row[key] = fresh
            if table in ("usage",):
                row["box"] = fresh
            if table == "images":
                row["name"] = fresh
            if table == "boxes":
                row["uid_slot"] = 15_000 + count
            if table == "runs":
                row["number"] = first["number"] + 1_000_000 + count
            if table == "prompts":  # each has its run
                run = dict(zip([c[1] for c in db.execute("PRAGMA table_info(runs)")], db.execute("SELECT * FROM runs LIMIT 1").fetchone()))
                insert(db, "runs", {**run, "id": fresh, "status": 0, "number": run["number"] + 2_000_000 + count})
            insert(db, table, row)
            counts[table] = count
    db.execute("COMMIT")
    print(json.dumps(counts))


main()
