"""The first program of a guest with devices: it loads their drivers and finds the root.

Debian's kernel has virtio as modules, so a guest with a disk or a network card begins
in a small initramfs: busybox, the modules, and a script. With ``root=`` among the
kernel's parameters it goes on in that file system, as ``init=`` says (``/sbin/init``);
without, the guest is here already and its own init goes on.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from agent.runtimes.images.tree import Tree, directory, regular, symlink
from agent.runtimes.qemu.cpio import write_newc
from agent.runtimes.qemu.guest import BUSYBOX, INIT_LINE, INIT_PATH, OWN, file_node

# In the order of their dependencies; modinfo(8) tells them.
DISK_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
)
NETWORK_MODULES = ("failover", "net_failover", "virtio_net")
MODULES = (*DISK_MODULES, *NETWORK_MODULES)
_APPLETS = (b"cat", b"echo", b"hostname", b"insmod", b"mount", b"switch_root", b"umount")

# A network card's modules are loaded where there is one (virtio's PCI ids, legacy and
# modern). A machine of a whole system has no parameter of its own for its name: the
# firmware's tables tell it.
_SCRIPT = """\
#!{busybox} sh
PATH=/.tonnage
echo '{init_line}'
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {disk}; do insmod /.tonnage/modules/$module.ko; done
case $(cat /proc/bus/pci/devices) in
*1af41000*|*1af41041*) for module in {network}; do insmod /.tonnage/modules/$module.ko; done ;;
esac
root= init=/sbin/init access=rw name=$(cat /sys/class/dmi/id/product_serial)
[ -z "$name" ] || hostname "$name"
for word in $(cat /proc/cmdline); do
case $word in
root=*) root=${{word#root=}} ;;
init=*) init=${{word#init=}} ;;
ro) access=ro ;;
esac
done
if [ -z "$root" ]; then umount /dev /sys /proc; exec {init_path}; fi
mount -t ext4 -o $access $root /root
umount /dev
umount /sys
umount /proc
exec switch_root /root $init
"""


def script() -> bytes:
    """The stub's text."""
    text = _SCRIPT.format(
        busybox=BUSYBOX,
        init_line=INIT_LINE,
        init_path=INIT_PATH,
        disk=" ".join(DISK_MODULES),
        network=" ".join(NETWORK_MODULES),
    )
    return text.encode()


def add_stub(tree: Tree, modules: Path) -> None:
    """Add the stub to ``tree``, with the modules of the folder ``modules``."""
    tree.put(OWN, directory())
    for applet in _APPLETS:
        tree.put(OWN + b"/" + applet, symlink(b"busybox"))
    for module in MODULES:
        file = modules / f"{module}.ko"
        tree.put(OWN + b"/modules/" + file.name.encode(), file_node(file, 0o644))
    tree.put(OWN + b"/stub", regular(script(), 0o755))


def write_stub(modules: Path, busybox: Path, target: Path) -> None:
    """Write the initramfs of the stub alone. Raises ``OSError``."""
    tree = Tree()
    for place in (b"dev", b"proc", b"sys", b"root"):
        tree.make_directories((place,))
    add_stub(tree, modules)
    tree.put(OWN + b"/busybox", file_node(busybox, 0o755))
    tree.put(b"init", regular(script(), 0o755))  # where the kernel looks, and switch_root too
    with target.open("wb") as out:
        write_newc(tree, out)


def with_stub(guest: Path, modules: Path) -> Path:
    """The initramfs ``guest`` with the stub behind it, in a file beside it; made if it is not
    there. The kernel unpacks one archive after the other. Blocks. Raises ``OSError``."""
    target = guest.with_suffix(".with-card")
    if not target.exists():
        tree = Tree()
        add_stub(tree, modules)
        with tempfile.TemporaryDirectory(dir=guest.parent) as scratch:
            made = Path(shutil.copyfile(guest, Path(scratch, "guest")))
            with made.open("ab") as out:
                write_newc(tree, out)
            made.replace(target)
    return target


def kept_stub(modules: Path, busybox: Path, folder: Path) -> Path:
    """The stub's initramfs in ``folder``; made if it is not there. Blocks. Raises ``OSError``."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch, "stub")
        write_stub(modules, busybox, made)
        target = folder / f"stub-{hashlib.sha256(made.read_bytes()).hexdigest()}"
        if not target.exists():
            made.replace(target)
    return target
