"""How a start began: what the page cache held before it, and when its snapshot was loaded."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer
from sqlalchemy.types import TypeEngine

revision = "r0005"
down_revision = "r0004"

_BigInt: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    for name in ("cold_bytes", "cold_cached_bytes", "restored_ns"):
        op.add_column("trial", Column(name, _BigInt))
