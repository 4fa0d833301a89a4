"""Settings of runtimes of VMs, for tests that need no agent around them."""

from __future__ import annotations

import uuid
from pathlib import Path

from agent.runtimes.registry import RuntimeSettings


def settings(guest_dir: Path, images_dir: Path, folder: Path) -> RuntimeSettings:
    """Those of an agent that lives for one test, over this checkout's guest files and
    images; no engine is there to take an image from."""
    return RuntimeSettings(
        agent_id=f"q{uuid.uuid4().hex[:10]}",
        state_dir=folder / "state",
        guest_dir=guest_dir,
        images_dir=images_dir,
        docker_host=f"unix://{folder}/no-engine.sock",
    )
