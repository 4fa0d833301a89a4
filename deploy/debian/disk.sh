#!/usr/bin/env bash
# Builds the disk of a Debian machine for QEMU, by a recipe: a folder that holds
#
#   recipe.sh   packages=, disk=, modules= and so on (below), and the function settle ROOT
#   rootfs/     files that are put over what the packages bring
#
#   disk.sh RECIPE FOLDER           writes FOLDER/base.raw and FOLDER/vmlinuz
#   disk.sh RECIPE FOLDER --check   tells by its exit code whether FOLDER has what the recipe makes
#
# Needs root, mmdebstrap, e2fsprogs and Debian's packages; no loop device, no mount. With
# bootable=yes in the recipe the file system lies in a partition behind a boot loader, which
# takes sfdisk and GRUB's parts (grub-common, grub-pc-bin). What is there already is not made again.
#
# The kernel is that of the package KERNEL_PACKAGE, a file, or else Debian's newest. INITRAMFS is
# a file that the recipe may put beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recipe=$(cd "${1:?usage: disk.sh RECIPE FOLDER [--check]}" && pwd)
folder=${2:?usage: disk.sh RECIPE FOLDER [--check]}
export LC_ALL=C SOURCE_DATE_EPOCH=1700000000
export PATH=$PATH:/usr/sbin:/sbin
suite=bookworm
variant=minbase bootable='' label=root kernel=${KERNEL_PACKAGE:-} initramfs=${INITRAMFS:-}
# A machine for measuring has no use for what a server does now and then.
masked=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
	e2scrub_reap.service fstrim.timer serial-getty@ttyS0.service)
grub=/usr/lib/grub/i386-pc
partition_at=1048576

# shellcheck source=/dev/null
. "$recipe/recipe.sh"

# What it is made of: this file, the recipe, and what came with it.
digest() {
	(
		cd "$recipe"
		find . -type f -print0 | sort -z | xargs -0 sha256sum
		cat "$here/disk.sh" ${initramfs:+"$initramfs"} ${kernel:+"$kernel"} | sha256sum
	) | sha256sum | cut -d ' ' -f 1
}

# Takes kernel and modules out of their package: installing it would want an initramfs.
add_kernel() {
	local root=$1 package from=$kernel
	if [[ ! $from ]]; then
		package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: *//p' | head -n 1)
		(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package")
		from=$(compgen -G "$work/${package}_*.deb")
	fi
	# /lib is a link here and a folder in the package.
	dpkg-deb --fsys-tarfile "$from" |
		tar --extract --keep-directory-symlink --directory "$root" ./boot ./lib
	chroot "$root" depmod "$(cd "$root/boot" && compgen -G 'vmlinuz-*' | sed 's/^vmlinuz-//')"
	mv "$root"/boot/vmlinuz-* "$work/vmlinuz"
}

# mmdebstrap calls this script back, with its own view of Debian's packages.
if [[ ${3:-} == --fill ]]; then
	work=$folder
	export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
	add_kernel "$4"
	cp -r "$recipe/rootfs/." "$4"
	settle "$4"
	chroot "$4" systemctl --quiet mask "${masked[@]}"
	exit
fi

wanted=$(digest)
[[ -s $folder/base.raw && -f $folder/recipe && $(<"$folder/recipe") == "$wanted" ]] && exit
[[ ${3:-} != --check ]] || exit 1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# GRUB by hand: its installer looks for the disk among the host's devices. The first sector
# loads the next one by default, where the rest lies, in the gap before the partition.
add_boot_loader() {
	printf 'start=%d, type=83, bootable\n' $((partition_at / 512)) |
		sfdisk --quiet --label dos "$work/base.raw"
	cat >"$work/grub.cfg" <<-'END'
		serial --unit=0 --speed=115200
		terminal_input serial
		terminal_output serial
		set root=(hd0,msdos1)
		configfile /boot/grub/grub.cfg
	END
	grub-mkimage --format i386-pc --directory "$grub" --prefix '(hd0,msdos1)/boot/grub' \
		--config "$work/grub.cfg" --output "$work/core.img" \
		biosdisk part_msdos ext2 normal configfile echo linux serial
	(($(stat -c %s "$work/core.img") < partition_at - 512))
	dd if="$grub/boot.img" of="$work/base.raw" bs=440 count=1 conv=notrunc status=none
	dd if="$work/core.img" of="$work/base.raw" bs=512 seek=1 conv=notrunc status=none
}

mmdebstrap --quiet --mode=root --variant="$variant" --include="$packages" \
	--aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook="'$here/disk.sh' '$recipe' '$work' --fill \"\$1\"" \
	"$suite" "$work/root"
if [[ $bootable ]]; then
	cp "$work/vmlinuz" "$work/root/boot/vmlinuz"
	cp "$initramfs" "$work/root/boot/initrd.img"
	cp "$initramfs" "$folder/initrd.img"
	truncate -s "$disk" "$work/base.raw"
	add_boot_loader
	blocks=$((($(stat -c %s "$work/base.raw") - partition_at) / 4096))
	mkfs.ext4 -q -F -b 4096 -L "$label" -E offset="$partition_at" -d "$work/root" "$work/base.raw" "$blocks"
else
	mkfs.ext4 -q -F -L "$label" -d "$work/root" "$work/base.raw" "$disk"
fi
rm -f "$folder/recipe"
mv "$work/vmlinuz" "$work/base.raw" "$folder"
echo "$wanted" >"$folder/recipe"
