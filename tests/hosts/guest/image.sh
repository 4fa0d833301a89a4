#!/usr/bin/env bash
# Builds a Debian server's disk for QEMU: systemd, Python, Docker (which is not started),
# and a service that carries out what the machine outside orders (see rootfs/).
#
#   image.sh FOLDER           writes FOLDER/base.raw and FOLDER/vmlinuz
#   image.sh FOLDER --check   tells by its exit code whether FOLDER has what this recipe makes
#
# Needs root, mmdebstrap and Debian's packages; no loop device, no mount. What is there
# already is not made again. The kernel has NVMe and ext4 built in, so that
# the guest boots without an initramfs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: image.sh FOLDER [--check]}
export LC_ALL=C SOURCE_DATE_EPOCH=1700000000
suite=bookworm
packages=systemd-sysv,dbus,udev,kmod,procps,iproute2,python3-venv,docker.io,ansible-core
disk=3G
# A test has no use for what a server does now and then.
masked=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
	e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service getty-static.service)

recipe() {
	(cd "$here" && find image.sh rootfs -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
}

# Takes kernel and modules out of their package: installing it would want an initramfs.
add_kernel() {
	local root=$1 package
	package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: *//p' | head -n 1)
	(cd "$root/tmp" && apt-get -qq -o APT::Sandbox::User=root download "$package")
	# /lib is a link here and a folder in the package.
	dpkg-deb --fsys-tarfile "$root"/tmp/"$package"_*.deb |
		tar --extract --keep-directory-symlink --directory "$root" ./boot ./lib
	rm "$root"/tmp/"$package"_*.deb
	chroot "$root" depmod "${package#linux-image-}"
	mv "$root"/boot/vmlinuz-* "$work/vmlinuz"
}

add_settings() {
	local root=$1
	cp -r "$here/rootfs/." "$root"
	echo server >"$root/etc/hostname"
	printf '127.0.0.1 localhost server\n' >"$root/etc/hosts"
	echo '/dev/nvme0n1 / ext4 defaults 0 1' >"$root/etc/fstab"
	chroot "$root" systemctl --quiet enable orders.service systemd-networkd.service
	chroot "$root" systemctl --quiet disable docker.service docker.socket containerd.service
	chroot "$root" systemctl --quiet mask "${masked[@]}"
}

# mmdebstrap calls this script back, with its own view of Debian's packages.
if [[ ${2:-} == --fill ]]; then
	work=$folder
	export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
	add_kernel "$3"
	add_settings "$3"
	exit
fi

wanted=$(recipe)
[[ -s $folder/base.raw && -f $folder/recipe && $(<"$folder/recipe") == "$wanted" ]] && exit
[[ ${2:-} != --check ]] || exit 1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
	--aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook="'$here/image.sh' '$work' --fill \"\$1\"" \
	"$suite" "$work/root"
mkfs.ext4 -q -F -L server -d "$work/root" "$work/base.raw" "$disk"
rm -f "$folder/recipe"
mv "$work/vmlinuz" "$work/base.raw" "$folder"
echo "$wanted" >"$folder/recipe"
