"""Runs, their hosts, and every event."""

from __future__ import annotations

from alembic import op
from sqlalchemy import REAL, BigInteger, Boolean, Column, Double, ForeignKey, Integer, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.types import TypeEngine

revision = "r0001"
down_revision = None

_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
_Real: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
_Bool: TypeEngine[bool] = Boolean(create_constraint=False).with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _runs()
    _trials()
    _events(
        "trial_end",
        Column("trial_id", Text, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("error", Text, nullable=False),
        Column("stopped_ns", _BigInt),
        Column("destroyed_ns", _BigInt),
    )
    _events(
        "fact",
        Column("kind", Text, nullable=False),
        Column("body_json", Text, nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "run",
        Column("run_id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("spec_json", Text, nullable=False),
        Column("seed", Text, nullable=False),
        Column("versions_json", Text, nullable=False),
        Column("started_at_unix_ns", _BigInt, nullable=False),
        Column("finished_at_unix_ns", _BigInt),
        Column("problem_json", Text),
        Column("request_token", Text, unique=True),
        Column("cancel_requested", _Bool, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("run_started", "run", ["started_at_unix_ns"])
    op.create_table(
        "host_run",
        Column("id", Integer, primary_key=True),
        Column("run_id", Text, ForeignKey("run.run_id"), nullable=False),
        Column("host", Text, nullable=False),
        Column("address", Text, nullable=False),
        Column("plan_json", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("high_water", _BigInt, nullable=False),
        Column("problem_json", Text),
        Unique("run_id", "host", name="host_run_once"),
        sqlite_strict=True,
    )


def _trials() -> None:
    _events(
        "trial",
        Column("trial_id", Text, nullable=False),
        Column("stage_id", Text, nullable=False),
        Column("target_id", Text, nullable=False),
        Column("concurrency", Integer, nullable=False),
        Column("block", Integer, nullable=False),
        Column("number", Integer, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("requested_at_unix_ns", _BigInt, nullable=False),
        Column("error", Text, nullable=False),
        Column("evidence", Text, nullable=False),
        Column("noisy", _Bool, nullable=False),
        Column("suspect", _Bool, nullable=False),
        Column("image_digest", Text, nullable=False),
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
    )


def _events(name: str, *columns: Column[object]) -> None:
    op.create_table(
        name,
        Column("host_run_id", Integer, ForeignKey("host_run.id"), primary_key=True),
        Column("sequence", _BigInt, primary_key=True),
        Column("recorded_at_unix_ns", _BigInt, nullable=False),
        *columns,
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
