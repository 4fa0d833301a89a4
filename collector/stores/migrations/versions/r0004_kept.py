"""What a result was computed from, so that one that lacks late events is known."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer
from sqlalchemy.types import TypeEngine

revision = "r0004"
down_revision = "r0003"

_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.add_column("run_result", Column("events", _BigInt, nullable=False, server_default="0"))
