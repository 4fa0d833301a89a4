"""A guest's file system and its init: an image's tree plus one hidden folder of ours.

The folder ``/.tonnage`` holds a static busybox and the init script, so images
without a shell work too. The init does what a container engine does before it
starts the workload, no more: mounts, devices, loopback, hostname, user, folder,
variables. Then the workload has the console to itself.
"""

from __future__ import annotations

import hashlib
import shlex
import stat
from pathlib import Path

from agent.runtimes.images.command import Process, is_shell_variable
from agent.runtimes.images.tree import Content, Node, Tree, directory, read, regular, symlink
from agent.runtimes.images.user import User
from agent.runtimes.qemu.network import GATEWAY, GUEST_ADDRESS

INIT_LINE = "TONNAGE INIT"
WORKLOAD_LINE = "TONNAGE WORKLOAD"
"""The last before the console is the workload's. Its network is up by then."""
EXIT_LINE = "TONNAGE EXIT"
INIT_PATH = "/.tonnage/init"
STUB_PATH = "/.tonnage/stub"
OWN = b".tonnage"
BUSYBOX = "/.tonnage/busybox"

# Those of a container (the OCI runtime spec's default devices and links), so that
# the same workload finds the same; name: (mode, major, minor).
_DEVICES = {
    b"null": (0o666, 1, 3),
    b"zero": (0o666, 1, 5),
    b"full": (0o666, 1, 7),
    b"random": (0o666, 1, 8),
    b"urandom": (0o666, 1, 9),
    b"tty": (0o666, 5, 0),
}
_LINKS = {
    b"fd": b"/proc/self/fd",
    b"stdin": b"/proc/self/fd/0",
    b"stdout": b"/proc/self/fd/1",
    b"stderr": b"/proc/self/fd/2",
    b"ptmx": b"pts/ptmx",
}
_MOUNTS = b"""\
proc /proc proc nosuid,nodev,noexec 0 0
sysfs /sys sysfs nosuid,nodev,noexec 0 0
devpts /dev/pts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5 0 0
shm /dev/shm tmpfs nosuid,nodev,noexec,mode=1777,size=64m 0 0
"""
_APPLETS = (b"ip", b"mount", b"reboot", b"stty")
_HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost\n"

# PID 1 stays: it takes in orphans, and says the exit code before the machine ends.
# The machine ends by a reset, which needs neither ACPI nor a device; QEMU is told
# to exit on one. "stty" drains the console first: a reset would lose what is queued.
# The console is opened anew: that of this tree is the user's, who may then open it again.
# Applets go by bare names: most busybox builds then run them without a second exec.
# The card is whatever the guest calls it. Where there is a udev, it may rename the card once,
# between two of these words, but not after it is up.
_INIT = """\
#!{busybox} sh
echo '{init_line}'
PATH=/.tonnage
exec </dev/console >/dev/console 2>&1
mount -a -T /.tonnage/fstab
stty raw -echo
ip link set lo up
for attempt in 1 2; do
set -- /sys/class/net/*/device
[ -e "$1" ] || break
card=${{1%/device}}
card=${{card##*/}}
ip link set "$card" up && ip addr add {address} dev "$card" &&
ip route add default via {gateway} && break
done
echo '{workload_line}'
(
unset HOME TERM PATH PWD OLDPWD SHLVL edd hostname
read -r HOSTNAME </proc/sys/kernel/hostname
export HOSTNAME{exports}
cd {folder} && unset PWD OLDPWD && exec {command}
)
code=$?
echo
stty sane
echo "{exit_line} $code"
stty raw
reboot -f
"""


def add_init(tree: Tree, process: Process, busybox: Path) -> None:
    """Add to an image's ``tree`` what makes it a guest that runs ``process``."""
    tree.put(OWN, directory())
    tree.put(OWN + b"/busybox", _busybox_node(tree, busybox))
    for applet in _APPLETS:
        tree.put(OWN + b"/" + applet, symlink(b"busybox"))
    tree.put(OWN + b"/init", regular(init_script(process), 0o755))
    tree.put(OWN + b"/fstab", regular(_MOUNTS))
    _add_places(tree, process.folder)
    _add_devices(tree, process.user)


def init_script(process: Process) -> bytes:
    """The init's text."""
    shell = {name: text for name, text in process.environment.items() if is_shell_variable(name)}
    exports = "".join(f" {name}={shlex.quote(text)}" for name, text in shell.items())
    text = _INIT.format(
        busybox=BUSYBOX,
        init_line=INIT_LINE,
        workload_line=WORKLOAD_LINE,
        address=GUEST_ADDRESS,
        gateway=GATEWAY,
        exit_line=EXIT_LINE,
        exports=exports,
        folder=shlex.quote(process.folder),
        command=shlex.join(_command(process)),
    )
    return text.encode("utf-8", "surrogateescape")


def _command(process: Process) -> list[str]:
    """The command that becomes the workload, as its user."""
    others = [
        f"{name}={value}"
        for name, value in process.environment.items()
        if not is_shell_variable(name)
    ]
    env = [BUSYBOX, "env", *others] if others else []
    return [*env, *_as_user(process.user, [process.program, *process.argv[1:]])]


def _as_user(user: User, command: list[str]) -> list[str]:
    """``su`` where the user has further groups (it reads them from the image's own
    files, which name it then), else ``nsenter``, which sets plain numbers and needs
    no entry in any file."""
    if user.groups:
        program, *arguments = command
        return [BUSYBOX, "su", "-p", "-s", program, "--", user.name, *arguments]
    if user.uid or user.gid:
        ids = ["-S", str(user.uid), "-G", str(user.gid)]
        return [BUSYBOX, "nsenter", "-F", *ids, "--", *command]
    return command


def _busybox_node(tree: Tree, busybox: Path) -> Node:
    """The image's own busybox where it is the very same file, which spares the guest a
    second copy in its memory."""
    own = tree.resolve(b"/bin/busybox")
    size = busybox.stat().st_size
    if own is not None and own.content is not None and own.content.size == size:
        same = _digest(read(own, size)) == _digest(busybox.read_bytes())
        if same and own.mode & 0o111 == 0o111 and not own.mode & 0o7000:
            return own
    return file_node(busybox, 0o755)


def file_node(file: Path, permissions: int) -> Node:
    """A file of root's whose content is that of ``file`` on this host."""
    content = Content(file.stat().st_size, lambda: file.open("rb"))
    return Node(stat.S_IFREG | permissions, content=content)


def _add_places(tree: Tree, folder: str) -> None:
    for place in (b"proc", b"sys"):
        tree.make_directories((place,))
    if tree.resolve(folder.encode()) is None:
        tree.put(folder.encode(), directory())
    hosts = tree.resolve(b"/etc/hosts")
    if hosts is None or not read(hosts):
        tree.put(b"etc/hosts", regular(_HOSTS))


def _add_devices(tree: Tree, user: User) -> None:
    """The user owns the console, as it owns a container's, so that it may open /dev/stdout."""
    dev = directory()
    tree.remove(b"dev")
    tree.put(b"dev", dev)
    dev.children[b"console"] = Node(stat.S_IFCHR | 0o620, user.uid, 5, (5, 1))
    for name, (permissions, major, minor) in _DEVICES.items():
        dev.children[name] = Node(stat.S_IFCHR | permissions, device=(major, minor))
    for name, target in _LINKS.items():
        dev.children[name] = symlink(target)
    dev.children[b"pts"] = directory()
    dev.children[b"shm"] = directory(0o1777)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
