#!/usr/bin/env bash
# Sets this checkout up: container engines, gVisor, QEMU, a guest kernel, a static busybox,
# the workload images and .venv with pinned versions. Each only if it is absent, so
# that a second call has nothing to do and takes a moment.
#
# Without root or apt it says what is missing and how to get it, and succeeds with
# what there is. It fails only if the Python environment cannot be made.
#
#   deploy/bootstrap.sh [--dev]     --dev: also what the tests want: tools, and the disk of a server
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
guest=build/guest
packages=build/packages
log=build/bootstrap.log
stub=agent/runtimes/qemu/stub.py
grub=/usr/lib/grub/i386-pc/boot.img
missing=()
fresh_lists='as root, apt-get update, and call this again; or put'
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

say() { printf 'bootstrap: %s\n' "$*" >&2; }

# Daemons lie in sbin, which is not on every user's path.
have() {
	local path
	path=$(PATH="$PATH:/usr/sbin:/sbin" command -v "$1") && [[ -x $path ]]
}

is_root() { [[ $(id -u) == 0 ]]; }

# Runs a command with its output in the log; shows the end of it if it fails.
logged() {
	# Without our lock: a service that a package starts must not hold it for good.
	{ printf '\n$ %s\n' "$*"; "$@"; } >>"$log" 2>&1 9>&- && return
	say "failed: $*"
	tail -n 12 "$log" | sed 's/^/    /' >&2
	return 1
}

# Keeps what is missing, with the way to get it, for the end.
lacks() { missing+=("$1"); }

# --- Debian packages --------------------------------------------------------------

apt() { logged apt-get -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root -qq "$@"; }

# A bare machine knows no packages until it is told to look.
refresh_lists() {
	apt-cache show busybox-static >/dev/null 2>&1 && return
	have apt-get && is_root || return 1
	say 'fetching the list of packages'
	apt update
}

# install WHAT PACKAGE...: tries with the lists at hand, then with fresh ones.
install() {
	local what=$1
	shift
	if ! have apt-get || ! is_root; then
		lacks "$what: as root, apt-get install --no-install-recommends $*"
		return 0
	fi
	say "installing $what ($*)"
	refresh_lists && apt install -y --no-install-recommends "$@" && return
	{ apt update && apt install -y --no-install-recommends "$@"; } ||
		lacks "$what: apt-get install $* failed, see $log"
}

# fetch PACKAGE MEMBER TARGET: takes one file out of a package without installing it.
fetch() {
	local package=$1 member=$2 target=$3 deb
	have apt-get && have dpkg-deb && refresh_lists || return 1
	mkdir -p "$packages"
	(
		cd "$packages"
		compgen -G "${package}_*.deb" >/dev/null || { log=$root/$log apt download "$package" ||
			{ is_root && log=$root/$log apt update && log=$root/$log apt download "$package"; }; }
	) || return 1
	deb=$(compgen -G "$packages/${package}_*.deb" | sort -V | tail -n 1)
	dpkg-deb --fsys-tarfile "$deb" | tar -x --to-stdout --wildcards "$member" >"$target.part" || return 1
	[[ -s $target.part ]] || return 1
	mv "$target.part" "$target"
	dpkg-deb --show --showformat='${Package} ${Version}\n' "$deb" >"$target.version"
}

# --- The parts --------------------------------------------------------------------

engine() {
	[[ -n ${DOCKER_HOST:-} || -S /var/run/docker.sock ]] || have dockerd ||
		install 'the Docker engine' docker.io
}

# Registered with the private engine when that starts; another engine's owner registers it.
gvisor() {
	have runsc || install 'gVisor' runsc
}

# With the network plugins that the private service uses, and an OCI runtime that takes every host.
podman_service() {
	have podman || install 'Podman' podman containernetworking-plugins runc
}

# The rungs below Docker; its package brings both, but another engine may be in use.
rungs() {
	have runc || install 'runc' runc
	have containerd || install 'containerd' containerd
}

qemu() {
	have qemu-system-x86_64 || install 'QEMU' qemu-system-x86
}

kernel() {
	local package
	[[ -s $guest/vmlinuz ]] && return
	say 'fetching a guest kernel'
	refresh_lists || true
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: *//p' | head -n 1) || true
	[[ -n $package ]] && fetch "$package" './boot/vmlinuz-*' "$guest/vmlinuz" ||
		lacks "a guest kernel: $fresh_lists a Linux x86_64 bzImage at $guest/vmlinuz (Debian's package linux-image-cloud-amd64 has one)"
}

busybox() {
	[[ -s $guest/busybox ]] && return
	if dpkg-query --show busybox-static >/dev/null 2>&1 && [[ -x /bin/busybox ]]; then
		dpkg-query --show --showformat='${Package} ${Version}\n' busybox-static >"$guest/busybox.version"
		cp /bin/busybox "$guest/busybox.part"
	else
		say 'fetching busybox'
		fetch busybox-static ./bin/busybox "$guest/busybox.part" &&
			mv "$guest/busybox.part.version" "$guest/busybox.version" ||
			{ lacks "busybox: $fresh_lists a static one at $guest/busybox (Debian's package busybox-static has one)"; return; }
	fi
	chmod 755 "$guest/busybox.part"
	mv "$guest/busybox.part" "$guest/busybox"
}

# The user space of another release of Debian than this one: for the claims, a container in it
# beside the host's own. Without mmdebstrap, which --dev installs, there is none.
distribution() {
	local release=trixie parts=base-files,coreutils,dash,hostname,iproute2,sed
	[[ ! -s $guest/other-linux.tar ]] && is_root && have mmdebstrap || return 0
	! grep -q "=$release\$" /etc/os-release || release=bookworm
	say "making the user space of Debian $release"
	SOURCE_DATE_EPOCH=0 logged mmdebstrap --quiet --mode=root --variant=extract --include="$parts" \
		--aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		"$release" "$guest/other-linux.part.tar" &&
		mv "$guest/other-linux.part.tar" "$guest/other-linux.tar" ||
		lacks "another release's user space (for make claims): see $log"
}

# The drivers of virtual disks and network cards, out of the kernel's own package.
modules() {
	local deb names
	deb=$(compgen -G "$packages/linux-image-*.deb" | sort -V | tail -n 1) || {
		[[ -d $guest/modules ]] ||
			lacks "drivers for guests with a disk or a network: virtio's modules of the guest kernel in $guest/modules"
		return 0
	}
	[[ -x .venv/bin/python && ! ($guest/modules -nt $stub && $guest/modules -nt $deb) ]] || return 0
	read -ra names < <(.venv/bin/python -c 'from agent.runtimes.qemu.stub import MODULES; print(*(f"{name}.ko" for name in MODULES))')
	rm -rf "$guest/modules.part"
	mkdir "$guest/modules.part"
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x --directory "$guest/modules.part" --transform 's|.*/||' --wildcards "${names[@]/#/*/}"
	rm -rf "$guest/modules"
	mv "$guest/modules.part" "$guest/modules"
}

# Something to boot that is not Linux.
payloads() {
	[[ -s $guest/payloads/memtest86plus ]] && return
	say 'fetching memtest86+'
	mkdir -p "$guest/payloads"
	fetch memtest86+ ./boot/memtest86+x64.bin "$guest/payloads/memtest86plus" ||
		lacks "memtest86+: $fresh_lists its bootable file at $guest/payloads/memtest86plus (Debian's package memtest86+ has one)"
	rm -f "$guest/payloads/memtest86plus.version"
}

# The disk of a whole server, which qemu-full boots. Made where there is what makes it: --dev
# installs that.
debian() {
	local kernel make
	[[ -d $guest/modules && -x .venv/bin/python ]] || return 0
	kernel=$(compgen -G "$packages/linux-image-*.deb" | sort -V | tail -n 1) || return 0
	[[ build/stub.cpio -nt $guest/modules && build/stub.cpio -nt $guest/busybox && build/stub.cpio -nt ${stub%/*}/guest.py ]] ||
		.venv/bin/python -m deploy.debian.initramfs "$guest/modules" "$guest/busybox" build/stub.cpio
	make=(env "KERNEL_PACKAGE=$root/$kernel" "INITRAMFS=$root/build/stub.cpio" deploy/debian/disk.sh deploy/debian/server "$guest/debian")
	"${make[@]}" --check && return
	is_root && have mmdebstrap && have mkfs.ext4 && have qemu-img && have sfdisk && have grub-mkimage && [[ -s $grub ]] || {
		lacks "a whole server as a guest (qemu-full): as root, deploy/bootstrap.sh --dev, which installs what makes its disk"
		return 0
	}
	say 'making the disk of a whole server'
	logged "${make[@]}" ||
		lacks "a whole server as a guest (qemu-full): see $log"
}

# Which packages the guest files came from, beside them.
versions() {
	local name comma=''
	[[ $guest/versions.json -nt $guest/vmlinuz.version && $guest/versions.json -nt $guest/busybox.version ]] && return
	for name in busybox vmlinuz; do
		[[ -s $guest/$name.version ]] || continue
		read -r package version <"$guest/$name.version"
		printf '%s\n  "%s": {"package": "%s", "version": "%s"}' "$comma" "$name" "$package" "$version"
		comma=,
	done >"$guest/versions.part"
	{ printf '{'; cat "$guest/versions.part"; printf '\n}\n'; } >"$guest/versions.json"
	rm "$guest/versions.part"
}

# Prometheus and its promtool: the programs alone, without the service of the package.
prometheus() {
	local tool
	for tool in prometheus promtool; do
		have "$tool" || [[ -x build/tools/$tool ]] && continue
		say "fetching $tool"
		mkdir -p build/tools
		if fetch prometheus "./usr/bin/$tool" "build/tools/$tool"; then
			chmod 755 "build/tools/$tool"
		else
			lacks "$tool (for the tests and make observe): Debian's package prometheus has it"
		fi
	done
}

# What the tests call beside engines: each with the Debian package that has it. They make networks
# and file systems, move clocks, check units, and install on Debians. None is a service.
test_tools() {
	local tool package wanted=()
	while read -r tool package; do
		have "$tool" || wanted+=("$package")
	done <<-'TOOLS'
		cpio cpio
		ip iproute2
		grub-mkimage grub-common
		mkfs.ext4 e2fsprogs
		mmdebstrap mmdebstrap
		mount mount
		qemu-img qemu-utils
		setpriv util-linux
		sfdisk fdisk
		systemd-analyze systemd
	TOOLS
	[[ -s $grub ]] || wanted+=(grub-pc-bin)
	compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || wanted+=(libfaketime)
	[[ ${#wanted[@]} == 0 ]] || install 'what the tests call' "${wanted[@]}"
}

# PostgreSQL's programs; the tests start their own. Debian would make a cluster and start it,
# unless it is told, for as long as it installs, not to.
postgres() {
	local kept=/etc/postgresql-common/createcluster.d/tonnage.conf
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
	if is_root && have apt-get; then
		mkdir -p "${kept%/*}"
		echo 'create_main_cluster = false' >"$kept"
	fi
	install 'PostgreSQL' postgresql-15
	rm -f "$kept"
}

# The disk of a server that the tests install on, under QEMU.
server() {
	deploy/debian/disk.sh tests/hosts/guest build/server --check && return
	say 'making the disk of a test server'
	is_root && have mmdebstrap && have mkfs.ext4 &&
		logged deploy/debian/disk.sh tests/hosts/guest build/server ||
		lacks 'a test server (for the tests): as root, deploy/debian/disk.sh tests/hosts/guest build/server'
}

# --- Python -----------------------------------------------------------------------

# A Python that can make environments: 3.11 or newer, with ensurepip.
find_python() {
	local candidate
	for candidate in python3 /usr/bin/python3; do
		"$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null && { command -v "$candidate"; return; }
	done
	return 1
}

digest() { { pwd; cat "$@"; } | sha256sum | cut -d ' ' -f 1; }

# done_before STAMP FILE...: whether the stamp was made from these very files, here.
done_before() {
	local stamp=.venv/$1
	shift
	[[ -f $stamp && $(<"$stamp") == "$(digest "$@")" ]]
}

create_environment() {
	local python
	.venv/bin/python -c 'import pip' 2>/dev/null && [[ -f .venv/tonnage.here && $(<.venv/tonnage.here) == "$root" ]] && return
	python=$(find_python) || {
		install 'Python 3.11 or newer with venv' python3 python3-venv
		python=$(find_python)
	} || return 1
	say "creating .venv with $python"
	logged "$python" -m venv --clear .venv
	printf '%s' "$root" >.venv/tonnage.here
}

environment() {
	local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet)
	done_before tonnage.lock deploy/requirements.lock &&
		done_before tonnage.project pyproject.toml && [[ -x .venv/bin/python ]] && return
	create_environment || return 1
	if ! done_before tonnage.lock deploy/requirements.lock; then
		say 'installing the pinned Python packages'
		logged "${pip[@]}" --require-hashes -r deploy/requirements.lock || {
			lacks 'the packages in deploy/requirements.lock: from PyPI, or a mirror that pip is set up for'
			return 1
		}
		digest deploy/requirements.lock >.venv/tonnage.lock
	fi
	logged "${pip[@]}" --no-deps --no-build-isolation --editable . || return 1
	digest pyproject.toml >.venv/tonnage.project
}

images() {
	local other=$guest/other-linux.tar
	[[ -s $other ]] || other=''
	[[ -s $guest/busybox && -x .venv/bin/python ]] || return 0
	[[ build/images/images.json -nt $guest/busybox && ! $guest/other-linux.tar -nt build/images/images.json &&
		-z $(find deploy/images -newer build/images/images.json -type f ! -name '*.pyc') ]] && return
	.venv/bin/python -m deploy.images.build --busybox "$guest/busybox" --out build/images \
		${other:+--distribution "$other"}
	touch build/images/images.json
}

report() {
	local each
	for each in "${missing[@]}"; do
		say "missing: $each"
	done
	[[ ${#missing[@]} == 0 || $1 != 0 ]] || say 'going on with what is there'
}

main() {
	local status=0
	mkdir -p "$guest"
	exec 9>build/bootstrap.lock
	flock 9
	environment || status=1
	engine
	gvisor
	podman_service
	rungs
	qemu
	kernel
	busybox
	versions
	[[ ${1:-} != --dev ]] || { prometheus; test_tools; }
	distribution
	images
	modules
	payloads
	debian
	[[ ${1:-} != --dev ]] || server
	report "$status"
	return "$status"
}

main "$@"
