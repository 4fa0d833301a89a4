"""Writes the example configurations from the programs' own models of them.

``python -m deploy.examples`` writes ``deploy/config/*.toml.example``: every key with
what it means, its bounds and its default. What a server needs otherwise than by default
is set; the rest is commented out. A test fails when they are stale.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from agent.config import AgentConfig
from collector.config import CollectorConfig

FOLDER = Path(__file__).with_name("config")
_WIDTH = 96
_HEAD = """\
# Configuration of Tonnage's {role}: every key there is. What is commented out is the default,
# or an example where it says so.
# {precedence}
# Restart the service after a change: systemctl restart tonnage-{role}
"""
_PRECEDENCE = "A flag comes first, then a variable {prefix}KEY, then this file."
# What differs from the defaults on a server: others reach it, over mutual TLS.
ON_A_SERVER: Mapping[str, Mapping[str, Any]] = {
    "agent": {"listen": "0.0.0.0:7080", "metrics": "0.0.0.0:7081"},
    "collector": {
        "listen": "0.0.0.0:7070",
        "http": "0.0.0.0:7071",
        "store": "/var/lib/tonnage/collector",
        "tls_dir": "/etc/tonnage/pki",
    },
}
# What a key may look like that has no default, or one that differs from host to host.
_SAMPLES: Mapping[str, Any] = {
    "name": "rack4-12",
    "tls_dir": "/var/lib/tonnage/agent/identity",
    "docker_host": "unix:///run/docker.sock",
    "podman_host": "unix:///run/podman/podman.sock",
    "containerd_address": "/run/containerd/containerd.sock",
    "guest_dir": "/opt/tonnage/share/guest",
    "images_dir": "/opt/tonnage/share/images",
    "labels": {"zone": "b", "kernel": "6.1"},
    "labels_file": "/etc/tonnage/labels",
    "guard_cpu_some_avg10": 80.0,
    "guard_io_some_avg10": 80.0,
}


def examples() -> dict[str, str]:
    """The text of each example, by file name."""
    models = {"agent": AgentConfig.model_fields, "collector": CollectorConfig.model_fields}
    return {f"{role}.toml.example": _example(role, fields) for role, fields in models.items()}


def _example(role: str, fields: Mapping[str, FieldInfo]) -> str:
    precedence = _PRECEDENCE.format(prefix=f"TONNAGE_{role.upper()}_")
    parts = [_HEAD.format(role=role, precedence=precedence)]
    parts += ["\n".join(_key(role, name, field)) + "\n" for name, field in fields.items()]
    return "\n".join(parts)


def _key(role: str, name: str, field: FieldInfo) -> Iterator[str]:
    text = " ".join([field.description or "", *_bounds(field)])
    yield from (f"# {line}" for line in textwrap.wrap(text, _WIDTH))
    set_here = ON_A_SERVER[role]
    if name in set_here:
        yield f"{name} = {_toml(set_here[name])}"
    elif name in _SAMPLES:
        yield f"#{name} = {_toml(_SAMPLES[name])}  # an example"
    else:
        default = field.get_default(call_default_factory=True)
        yield f"#{name} = {_toml('' if default is None else default)}"


def _bounds(field: FieldInfo) -> Iterator[str]:
    words = []
    for bound in field.metadata:
        match bound:
            case Ge(ge=limit):
                words.append(f"at least {limit}")
            case Gt(gt=limit):
                words.append(f"more than {limit}")
            case Le(le=limit):
                words.append(f"at most {limit}")
            case Lt(lt=limit):
                words.append(f"less than {limit}")
    if words:
        sentence = ", ".join(words)
        yield f"{sentence[:1].upper()}{sentence[1:]}."


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Path):
        return json.dumps(str(value))
    return json.dumps(value)  # strings, numbers and truth are written alike in TOML


def main() -> int:
    """Write the examples."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in examples().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
