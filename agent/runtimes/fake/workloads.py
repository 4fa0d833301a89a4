"""What the fake's workloads answer on their consoles: as ``tonnage/idle:1`` does."""

from __future__ import annotations

import json
import uuid

from agent.runtimes.fake.behaviour import Behaviour

_HOSTS_KERNEL = {"kernel": "6.1.0-fake", "boot_id": str(uuid.UUID(int=1)), "start_time_unix": "1"}
_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


class Workloads:
    """The marks of all, so that one that leaks can tell those of its neighbours."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def said(self, instance_id: str, line: str, behaviour: Behaviour) -> str:
        """What the workload of an instance says to a line; nothing to one it does not know."""
        word, _, rest = line.partition(" ")
        if word == "ping":
            return "pong\n"
        if word == "mark":
            self._marks[instance_id] = rest
            return f"TONNAGE MARKED {rest}\n"
        if word == "facts":
            facts = json.dumps(self._facts(instance_id, behaviour))
            return f"TONNAGE FACTS {facts}\nTONNAGE END\n"
        return ""

    def forget(self, instance_id: str) -> None:
        """The instance is gone."""
        self._marks.pop(instance_id, None)

    def _facts(self, instance_id: str, behaviour: Behaviour) -> dict[str, object]:
        leaky = behaviour.kind == "leaky"
        own = self._marks.get(instance_id, "")
        seen = [*self._marks.values()] if leaky else [own] if own else []
        place = "host" if leaky else instance_id
        return {
            **(_own_kernel(instance_id) if behaviour.own_kernel else _HOSTS_KERNEL),
            "hostname": place,
            "os": "",
            "uid_map": "0 0 4294967295",
            "namespaces": {kind: f"{kind}:[{place}]" for kind in _KINDS},
            "files": seen,
            "mounts": ["fake / fake rw 0 0"],
            "links": ["1: lo: <LOOPBACK,UP> link/loopback 00:00:00:00:00:00"],
            "addresses": ["1: lo inet 127.0.0.1/8 scope host lo"],
            "processes": [f"/bin/sh /bin/tonnage-idle {mark}" for mark in seen],
            "process_count": len(seen),
        }


def _own_kernel(instance_id: str) -> dict[str, str]:
    boot = uuid.uuid5(uuid.NAMESPACE_OID, instance_id)
    return {"kernel": "6.1.0-guest", "boot_id": str(boot), "start_time_unix": "2"}
