"""Where the file system of a VM lay that was launched."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "r0006"
down_revision = "r0005"


def upgrade() -> None:
    """Apply."""
    op.add_column("trial", Column("guest_root", Text, nullable=False, server_default=""))
