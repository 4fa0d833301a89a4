"""A server of its own kernel, memory and systemd: a Debian guest under QEMU."""
