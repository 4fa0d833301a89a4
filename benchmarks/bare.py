"""The bare client: what a start costs without Tonnage around it.

The same three engine calls (create, attach, start) through the same SDK, and a
blocking read until the ready line, with nothing else in the process.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from docker.api.client import APIClient

IMAGE = "tonnage/idle:1"
READY_LINE = b"TONNAGE READY"
MEMORY_BYTES = 128 << 20


def connect() -> APIClient:
    """A client of the engine that ``DOCKER_HOST`` names; one a thread."""
    return APIClient(base_url=os.environ.get("DOCKER_HOST"), version="auto", timeout=60)


def start_and_remove(client: APIClient) -> float:
    """Start one container, read its ready line, remove it; seconds from before the
    create call to the line."""
    body = {
        "Image": IMAGE,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "NetworkDisabled": True,
        "HostConfig": {
            "NetworkMode": "none",
            "Memory": MEMORY_BYTES,
            "MemorySwap": MEMORY_BYTES,
            "NanoCpus": 1_000_000_000,
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }
    began = time.monotonic()
    container = client.create_container_from_config(body, f"bare-{uuid4().hex[:12]}")["Id"]
    try:
        console = client.attach_socket(
            container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        with console, ThreadPoolExecutor(1) as reader:
            ready = reader.submit(_await_ready_line, console.fileno())
            client.start(container)
            seconds = ready.result() - began
    finally:
        client.remove_container(container, force=True, v=True)
    return seconds


def _await_ready_line(console: int) -> float:
    """The ``CLOCK_MONOTONIC`` seconds at which the ready line was read, by a reader
    that waits for it already: it may come before the start call returns."""
    seen = b""
    while READY_LINE not in seen:
        chunk = os.read(console, 65536)
        if not chunk:
            raise RuntimeError(f"the container ended before it was ready: {seen!r}")
        seen += chunk
    return time.monotonic()
