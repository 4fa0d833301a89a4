"""What lets a store grow: counts, kept results, owners of runs, and the removal of trials."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Text
from sqlalchemy.types import TypeEngine

revision = "r0003"
down_revision = "r0002"

_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
_Name: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")

_COUNT = """
UPDATE host_run SET trials =
    (SELECT count(*) FROM trial WHERE trial.host_run_id = host_run.id)
"""
# Elsewhere text is ordered by its bytes in any case.
_BY_BYTES = ("run.run_id", "host_run.run_id", "host_run.host", "known_host.host")


def upgrade() -> None:
    """Apply."""
    if op.get_bind().dialect.name == "postgresql":
        for column in _BY_BYTES:
            table, name = column.split(".")
            op.execute(f'ALTER TABLE {table} ALTER COLUMN {name} TYPE text COLLATE "C"')
    op.add_column("run", Column("raw_removed_at_unix_ns", _BigInt))
    op.add_column("host_run", Column("trials", _BigInt, nullable=False, server_default="0"))
    op.execute(_COUNT)
    op.create_table(
        "run_result",
        Column("run_id", _Name, ForeignKey("run.run_id"), primary_key=True),
        Column("finished_at_unix_ns", _BigInt, nullable=False),
        Column("version", Text, nullable=False),
        Column("computed_at_unix_ns", _BigInt, nullable=False),
        Column("result_json", Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "run_owner",
        Column("run_id", _Name, ForeignKey("run.run_id"), primary_key=True),
        Column("owner", Text, nullable=False),
        Column("since_unix_ns", _BigInt, nullable=False),
        sqlite_strict=True,
    )
