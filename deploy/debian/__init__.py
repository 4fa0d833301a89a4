"""The disks of Debian machines for QEMU."""
