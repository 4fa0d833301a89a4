# A server to install on: systemd, Python, Docker (which is not started), and a service that
# carries out what the machine outside orders (see rootfs/). NVMe and ext4 are built into
# the kernel, so that it boots without an initramfs.
packages=systemd-sysv,dbus,udev,kmod,procps,iproute2,python3-venv,docker.io,ansible-core
disk=3G
label=server
masked+=(getty@tty1.service getty-static.service)

settle() {
	local root=$1
	echo server >"$root/etc/hostname"
	printf '127.0.0.1 localhost server\n' >"$root/etc/hosts"
	echo '/dev/nvme0n1 / ext4 defaults 0 1' >"$root/etc/fstab"
	chroot "$root" systemctl --quiet enable orders.service systemd-networkd.service
	chroot "$root" systemctl --quiet disable docker.service docker.socket containerd.service
}
