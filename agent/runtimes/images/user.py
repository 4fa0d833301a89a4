"""Who a workload runs as: an image's user setting, resolved in the image's own files.

The rules are those of Docker (github.com/moby/sys/user, GetExecUser): a name or
number is looked up in /etc/passwd; a bare number needs no entry there; a group
that is given replaces the user's groups; otherwise the user is also in every
group of /etc/group that lists its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.runtimes.images.tree import Tree, read
from agent.runtimes.images.unfit import UnfitImage

_MAX_ID = 2**31 - 1


class UnknownUser(UnfitImage):
    """A user or group name that the image does not know; the text names it."""


@dataclass(frozen=True, slots=True)
class User:
    """Ids and home of a user. ``name`` is empty where the image has no entry for it."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


def resolve_user(setting: str, tree: Tree) -> User:
    """The user that ``setting`` (``name|uid[:group|gid]``, or empty for root) means.

    Raises ``UnknownUser``.
    """
    who, _, group = setting.partition(":")
    user = _user(who or "0", tree)
    if not group:
        return user
    return User(user.uid, _group(group, tree), (), user.home, user.name)


def _user(who: str, tree: Tree) -> User:
    for name, _, uid, gid, _, home in _records(tree, b"/etc/passwd", 6):
        if name == who or (uid == who and who.isdecimal()):
            return User(int(uid), int(gid), _groups_of(name, tree), home or "/", name)
    if who.isdecimal() and int(who) <= _MAX_ID:
        return User(int(who))
    raise UnknownUser(f"the image has no user {who!r} in /etc/passwd")


def _group(group: str, tree: Tree) -> int:
    for name, _, gid, *_ in _records(tree, b"/etc/group", 3):
        if name == group:
            return int(gid)
    if group.isdecimal() and int(group) <= _MAX_ID:
        return int(group)
    raise UnknownUser(f"the image has no group {group!r} in /etc/group")


def _groups_of(user: str, tree: Tree) -> tuple[int, ...]:
    records = _records(tree, b"/etc/group", 4)
    return tuple(int(gid) for _, _, gid, members in records if user in members.split(","))


def _records(tree: Tree, path: bytes, fields: int) -> Iterator[list[str]]:
    """The first ``fields`` fields of each whole line whose ids are numbers."""
    node = tree.resolve(path)
    text = read(node).decode("utf-8", "replace") if node is not None else ""
    for line in text.splitlines():
        parts = line.split(":")
        ids = parts[2:4] if fields > 4 else parts[2:3]
        if len(parts) >= fields and all(part.isdecimal() for part in ids):
            yield parts[:fields]
