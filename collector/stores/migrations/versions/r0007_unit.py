"""When the workload of a whole server began: its unit, apart from the system's own start."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer
from sqlalchemy.types import TypeEngine

revision = "r0007"
down_revision = "r0006"

_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.add_column("trial", Column("unit_ns", _BigInt))
