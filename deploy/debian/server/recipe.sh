# The traditional VM: what Debian's own installer puts on a server, with nothing chosen.
variant=important
packages=systemd-sysv,dbus,udev,kmod,procps,iproute2
disk=2G
bootable=yes

settle() {
	local root=$1
	rm -f "$root/etc/hostname"
	: >"$root/etc/machine-id"
	printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$root/etc/hosts"
	printf '%s\n' '/dev/vda1 / ext4 errors=remount-ro 0 1' '/dev/vdb /workload ext4 defaults 0 0' >"$root/etc/fstab"
	mkdir "$root/workload"
	chroot "$root" systemctl --quiet enable workload.service
}
