"""A fleet: hosts, tokens, certificates, the audit log, and how runs begin and resume."""

from __future__ import annotations

from alembic import op
from sqlalchemy import REAL, BigInteger, Boolean, Column, Double, Integer, Text
from sqlalchemy.types import TypeEngine

revision = "r0002"
down_revision = "r0001"

_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
_Real: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
_Bool: TypeEngine[bool] = Boolean(create_constraint=False).with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Add columns and tables; no row is touched."""
    op.add_column("run", Column("start_skew_seconds", _Real))
    op.add_column("trial_end", Column("interrupted", _Bool, nullable=False, server_default="0"))
    _hosts()
    _identities()
    _audit()


def _hosts() -> None:
    op.create_table(
        "known_host",
        Column("host", Text, primary_key=True),
        Column("facts_json", Text, nullable=False),
        Column("runtimes_json", Text, nullable=False),
        Column("address", Text, nullable=False),
        Column("metrics_address", Text, nullable=False),
        Column("metrics_tls", _Bool, nullable=False),
        Column("protocol", Integer, nullable=False),
        Column("first_seen_unix_ns", _BigInt, nullable=False),
        Column("last_seen_unix_ns", _BigInt, nullable=False),
        Column("draining", _Bool, nullable=False),
        sqlite_strict=True,
    )


def _identities() -> None:
    op.create_table(
        "token",
        Column("token_id", Text, primary_key=True),
        Column("secret_sha256", Text, nullable=False, unique=True),
        Column("expires_at_unix_ns", _BigInt, nullable=False),
        Column("uses_left", Integer, nullable=False),
        Column("host", Text, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("created_at_unix_ns", _BigInt, nullable=False),
        Column("revoked", _Bool, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "certificate",
        Column("serial", Text, primary_key=True),
        Column("role", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("not_before_unix_ns", _BigInt, nullable=False),
        Column("not_after_unix_ns", _BigInt, nullable=False),
        Column("revoked_at_unix_ns", _BigInt),
        sqlite_strict=True,
    )
    op.create_index("certificate_holder", "certificate", ["role", "name"])


def _audit() -> None:
    op.create_table(
        "audit",
        Column("id", Integer, primary_key=True),
        Column("at_unix_ns", _BigInt, nullable=False),
        Column("role", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("peer", Text, nullable=False),
        Column("command", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("reason", Text, nullable=False),
        sqlite_strict=True,
    )
