"""The tables, as they are after the newest migration.

Rows of ``trial``, ``trial_end`` and ``fact`` are only ever added: a trial and
the end of its instance are separate rows, joined when they are read, so that
ingest needs no upsert. ``host_run.high_water`` moves in the transaction that
adds the rows up to it. The words of enumerations are stored, not numbers.
Columns stand in the order in which migrations made them. Migrations hold their own
frozen copy; a test keeps the two in step.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from collector.stores.texts import WithoutNul

# STRICT tables know only INTEGER, REAL, TEXT and BLOB.
_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
_Real: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
_Bool: TypeEngine[bool] = Boolean(create_constraint=False).with_variant(Integer(), "sqlite")
# Text of anyone's; what Tonnage itself worded, and JSON, has no NUL.
_Text: TypeEngine[str] = Text().with_variant(WithoutNul(), "postgresql")
# What is ordered by, or found by its beginning: by its bytes, whatever a database's locale.
_Name: TypeEngine[str] = Text().with_variant(WithoutNul(collation="C"), "postgresql")

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("run_id", _Name, primary_key=True),
    Column("name", _Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("spec_json", Text, nullable=False),
    # A seed is unsigned and 64 bits wide, which no SQL integer holds.
    Column("seed", Text, nullable=False),
    Column("versions_json", Text, nullable=False),
    Column("started_at_unix_ns", _BigInt, nullable=False),
    Column("finished_at_unix_ns", _BigInt),
    Column("problem_json", Text),
    Column("request_token", _Text, unique=True),
    Column("cancel_requested", _Bool, nullable=False),
    Column("start_skew_seconds", _Real),
    # When its trials were removed; its result is kept then.
    Column("raw_removed_at_unix_ns", _BigInt),
    Index("run_started", "started_at_unix_ns"),
    sqlite_strict=True,
)

host_run = Table(
    "host_run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", _Name, ForeignKey("run.run_id"), nullable=False),
    Column("host", _Name, nullable=False),
    Column("address", _Text, nullable=False),
    Column("plan_json", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("high_water", _BigInt, nullable=False),
    Column("problem_json", Text),
    # Moves with the mark, so that nobody counts rows.
    Column("trials", _BigInt, nullable=False, server_default="0"),
    UniqueConstraint("run_id", "host", name="host_run_once"),
    sqlite_strict=True,
)


def _events(name: str, *columns: Column[object]) -> Table:
    """A table of events: one row an event, found by host run and sequence."""
    return Table(
        name,
        metadata,
        Column("host_run_id", Integer, ForeignKey("host_run.id"), primary_key=True),
        Column("sequence", _BigInt, primary_key=True),
        Column("recorded_at_unix_ns", _BigInt, nullable=False),
        *columns,
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


trial = _events(
    "trial",
    Column("trial_id", _Text, nullable=False),
    Column("stage_id", _Text, nullable=False),
    Column("target_id", _Text, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("block", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("requested_at_unix_ns", _BigInt, nullable=False),
    Column("error", _Text, nullable=False),
    Column("evidence", _Text, nullable=False),
    Column("noisy", _Bool, nullable=False),
    Column("suspect", _Bool, nullable=False),
    Column("image_digest", _Text, nullable=False),
    Column("fill", Integer, nullable=False),
    Column("accelerator", Text, nullable=False),
    Column("population", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("accepted_ns", _BigInt),
    Column("created_ns", _BigInt),
    Column("kernel_ns", _BigInt),
    Column("init_ns", _BigInt),
    Column("ready_ns", _BigInt),
    Column("cpu_ns", _BigInt),
    Column("foreign_cpu_share", _Real),
    Column("steal_share", _Real),
    Column("cpu_some_avg10", _Real),
    Column("cold_bytes", _BigInt),
    Column("cold_cached_bytes", _BigInt),
    Column("restored_ns", _BigInt),
    Column("guest_root", _Text, nullable=False, server_default=""),
    Column("unit_ns", _BigInt),
)

trial_end = _events(
    "trial_end",
    Column("trial_id", _Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error", _Text, nullable=False),
    Column("stopped_ns", _BigInt),
    Column("destroyed_ns", _BigInt),
    Column("interrupted", _Bool, nullable=False, server_default="0"),
)

# Every other event: rare, and of many shapes. The body is the message as JSON.
fact = _events(
    "fact",
    Column("kind", Text, nullable=False),
    Column("body_json", Text, nullable=False),
)

# What was computed from the raw rows of a run when it ended. It holds for that ending alone.
run_result = Table(
    "run_result",
    metadata,
    Column("run_id", _Name, ForeignKey("run.run_id"), primary_key=True),
    Column("finished_at_unix_ns", _BigInt, nullable=False),
    Column("version", Text, nullable=False),
    Column("computed_at_unix_ns", _BigInt, nullable=False),
    Column("result_json", Text, nullable=False),
    # How many events of its hosts were stored when it was computed.
    Column("events", _BigInt, nullable=False, server_default="0"),
    sqlite_strict=True,
)

# Which collector drives a run; where several share a store, it holds a lock on the row.
run_owner = Table(
    "run_owner",
    metadata,
    Column("run_id", _Name, ForeignKey("run.run_id"), primary_key=True),
    Column("owner", _Text, nullable=False),
    Column("since_unix_ns", _BigInt, nullable=False),
    sqlite_strict=True,
)

known_host = Table(
    "known_host",
    metadata,
    Column("host", _Name, primary_key=True),
    Column("facts_json", Text, nullable=False),
    Column("runtimes_json", Text, nullable=False),
    Column("address", _Text, nullable=False),
    Column("metrics_address", _Text, nullable=False),
    Column("metrics_tls", _Bool, nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("first_seen_unix_ns", _BigInt, nullable=False),
    Column("last_seen_unix_ns", _BigInt, nullable=False),
    Column("draining", _Bool, nullable=False),
    sqlite_strict=True,
)

token = Table(
    "token",
    metadata,
    Column("token_id", _Text, primary_key=True),
    Column("secret_sha256", Text, nullable=False, unique=True),
    Column("expires_at_unix_ns", _BigInt, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("host", _Name, nullable=False),
    Column("created_by", _Text, nullable=False),
    Column("created_at_unix_ns", _BigInt, nullable=False),
    Column("revoked", _Bool, nullable=False),
    sqlite_strict=True,
)

certificate = Table(
    "certificate",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("name", _Text, nullable=False),
    Column("not_before_unix_ns", _BigInt, nullable=False),
    Column("not_after_unix_ns", _BigInt, nullable=False),
    Column("revoked_at_unix_ns", _BigInt),
    Index("certificate_holder", "role", "name"),
    sqlite_strict=True,
)

# Read in the order of its ids, which is the order of adding: a clock may step.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at_unix_ns", _BigInt, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", _Text, nullable=False),
    Column("peer", _Text, nullable=False),
    Column("command", _Text, nullable=False),
    Column("subject", _Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", _Text, nullable=False),
    sqlite_strict=True,
)
