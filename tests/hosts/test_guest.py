"""The Debian guest that stands for a second server: what its tests build on holds."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.hosts.guest.guest import Guest
from tests.hosts.guest.orders import OrderFailed

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


def test_a_guest_is_a_server_of_its_own(server_image: Path, tmp_path: Path) -> None:
    """That it keeps what it should over reboots and power cuts, ``test_second_server`` shows."""
    cargo = tmp_path / "letter"
    cargo.write_text("hello\n")
    port = free_port()
    with Guest(server_image, tmp_path, {7080: port}, [cargo]) as guest:
        pid = guest.machine.pid
        assert pid is not None
        assert guest.run("systemctl is-system-running --wait").strip() == "running"
        orders_are_carried_out(guest)
        host = Path("/proc/sys/kernel/random/boot_id").read_text()
        assert guest.run("cat /proc/sys/kernel/random/boot_id") not in ("", host)
        guest_and_host_reach_each_other(guest, port)
        what_went_wrong_is_told(guest)
    assert not is_running(pid)
    assert not list(tmp_path.glob("*.qcow2"))


def what_went_wrong_is_told(guest: Guest) -> None:
    """As a note on whatever ends the guest's block."""
    guest.run("echo '<4>told by the story' >/dev/kmsg")
    assert "told by the story" in guest.evidence()


def orders_are_carried_out(guest: Guest) -> None:
    assert guest.run("cat /srv/cargo/letter") == "hello\n"
    done = guest.attempt("echo out; echo error >&2; exit 7")
    assert (done.code, done.output, done.errors) == (7, "out\n", "error\n")
    with pytest.raises(OrderFailed, match="ended with 124"):
        guest.run("sleep 60", seconds=1)
    assert len(guest.run("head -c 3000000 /dev/zero | tr '\\0' x")) == 3_000_000
    guest.put("/etc/a folder/a file", "it's\n", mode="600")
    assert guest.run("stat -c %a '/etc/a folder/a file'; cat '/etc/a folder/a file'") == (
        "600\nit's\n"
    )


def guest_and_host_reach_each_other(guest: Guest, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        here = listener.getsockname()[1]
        guest.run(f"echo from the guest >/dev/tcp/10.0.2.2/{here}")
        with listener.accept()[0] as connection:
            assert connection.recv(100) == b"from the guest\n"
    answer = "import socket; s = socket.create_server(('', 7080)); open('/run/up', 'w'); "
    answer += "s.accept()[0].sendall(b'from the host, and back')"
    guest.run(f'nohup python3 -c "{answer}" >/dev/null 2>&1 & until [[ -e /run/up ]]; do :; done')
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        assert connection.recv(100) == b"from the host, and back"
