#!/usr/bin/env bash
# Installs Tonnage on a server from a bundle that deploy/wheelhouse.sh made. No internet.
#
#   install.sh agent|collector [--from PATH]   install, or bring to the bundle's version
#                              [--check]       only say whether that would be another release
#   install.sh upgrade [--from PATH]           bring what is installed to the bundle's version
#   install.sh rollback                        back to the release before; again: forth
#   install.sh status                          what is installed, and whether it runs
#   install.sh uninstall [agent|collector] [--purge]
#                                              remove; --purge: with data, identity, settings
#
#   --from PATH     the bundle's folder, or a wheel whose dependencies lie beside it
#                   [the folder of this script]
#   --prefix DIR    where the programs go [/opt/tonnage]
#   --python PATH   the Python to use, 3.11 or newer with venv
#   --no-start      neither start nor restart anything
#
# Each release is an environment of its own below PREFIX/releases; the link PREFIX/current moves
# only when it is complete. A second call changes nothing, and one after an interrupted call ends
# what that began. Without systemd it says what it leaves out.
#
# Exit codes: 0 done, 1 failed on the way (call it again), 2 wrong usage or an unfit host.
set -euo pipefail
export LC_ALL=C PYTHONDONTWRITEBYTECODE=
umask 022

prefix=/opt/tonnage
links=/usr/local/bin
units=/etc/systemd/system
settings=/etc/tonnage
data=/var/lib/tonnage
account=tonnage

command='' from='' python='' start=yes purge=no check=no
roles=() # the argument; then what is or will be installed
changes=0
changed_units=' ' # roles
building=''

say() { printf '%s\n' "$*"; }
did() { changes=$((changes + 1)); say "  $*"; }
unfit() { printf 'install.sh: %s\n' "$*" >&2; exit 2; }
failed() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

# --- Arguments --------------------------------------------------------------------

usage() { sed -n '2,/^set -euo/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

parse() {
	local argument
	[[ $# -gt 0 ]] || { usage >&2; exit 2; }
	while [[ $# -gt 0 ]]; do
		argument=$1
		shift
		case $argument in
		-h | --help) usage; exit 0 ;;
		--from | --prefix | --python)
			[[ $# -gt 0 && -n $1 ]] || unfit "$argument needs a value; see install.sh --help"
			printf -v "${argument#--}" %s "$1"
			shift
			;;
		--from=* | --prefix=* | --python=*) set -- "${argument%%=*}" "${argument#*=}" "$@" ;;
		--no-start | --no-restart) start=no ;;
		--purge) purge=yes ;;
		--check) check=yes ;;
		agent | collector) roles+=("$argument") ;;
		upgrade | rollback | status | uninstall)
			[[ -z $command ]] || unfit "'$argument' after '$command': one command at a time"
			command=$argument
			;;
		*) unfit "unknown argument '$argument'; see install.sh --help" ;;
		esac
	done
	[[ -n $command || ${#roles[@]} -gt 0 ]] || unfit 'no command; see install.sh --help'
	[[ $purge == no || $command == uninstall ]] || unfit '--purge goes with uninstall alone'
	[[ $check == no || -z $command || $command == upgrade ]] || unfit "--check does not go with $command"
	[[ ${#roles[@]} == 0 || -z $command || $command == uninstall ]] ||
		unfit "'$command' takes no role; it is for all that is installed"
	[[ $prefix == /* && $prefix != / && $prefix != *[[:space:]\&\|]* ]] ||
		unfit "--prefix '$prefix' must be an absolute path of plain characters, such as /opt/tonnage"
	command=${command:-install}
}

# --- What is there ----------------------------------------------------------------

installed() { [[ -e $prefix/roles/$1 ]]; }
has_systemctl() { command -v systemctl >/dev/null; }
runs_systemd() { [[ -d /run/systemd/system ]] && has_systemctl; }
certified() { [[ -s $data/agent/identity/agent.pem && $1 == agent || -s $settings/pki/collector.pem && $1 == collector ]]; }
program() { [[ $1 == agent ]] && echo tonnage-agent || echo tonnage; }
release_of() { local at; at=$(readlink "$prefix/$1" 2>/dev/null) && basename "$at"; }
version_of() { printf %s "${1%-*}"; }

# The collector first, always: it serves older agents, and not the other way round.
installed_roles() {
	local role
	for role in collector agent; do
		! installed "$role" || echo "$role"
	done
}

fits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
	local candidate
	if [[ -n $python ]]; then
		command -v "$python" >/dev/null || unfit "--python '$python' is no program"
		fits "$python" || unfit "--python '$python' is older than 3.11 or lacks venv and ensurepip"
		return
	fi
	for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
		if command -v "$candidate" >/dev/null && fits "$candidate"; then
			python=$candidate
			return
		fi
	done
	command -v python3 >/dev/null ||
		unfit 'no python3 here: install Python 3.11 or newer (Debian: apt-get install python3-venv)'
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
		unfit "$(python3 --version) is too old: 3.11 or newer is needed; name it with --python"
	unfit 'python3 lacks venv or ensurepip: apt-get install python3-venv'
}

# --- What to install from ---------------------------------------------------------

# Sets: bundle (folder with units and examples), wheels (folder), wheel (file), version.
find_source() {
	local here found
	here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
	from=${from:-$here}
	[[ -e $from ]] || unfit "--from '$from' does not exist; name a bundle's folder or a wheel"
	from=$(realpath "$from")
	bundle=$from wheels=$from/wheels
	[[ ! -f $from ]] || bundle=$here wheels=$(dirname "$from")
	found=("$from")
	[[ -f $from ]] || found=("$wheels"/tonnage-*.whl)
	wheel=${found[0]}
	[[ ${#found[@]} == 1 && -f $wheel && $wheel == */tonnage-*.whl ]] ||
		unfit "'$from' holds no wheel of Tonnage: make a bundle with deploy/wheelhouse.sh --out DIR"
	[[ -d $bundle/systemd && -d $bundle/config ]] ||
		unfit "'$bundle' lacks systemd/ and config/: call the install.sh of a bundle"
	version=$(basename "$wheel" | cut -d - -f 2)
}

# The wheel of pip that this Python brings along; Debian keeps it apart.
pip_wheel() {
	"$python" -c 'import ensurepip, pathlib, sysconfig
apart = sysconfig.get_config_var("WHEEL_PKG_DIR")
folders = [pathlib.Path(apart)] if apart else [pathlib.Path(ensurepip.__file__).parent / "_bundled"]
print(max(wheel for folder in folders for wheel in folder.glob("pip-*.whl")))'
}

# What pip installs for the roles, as its arguments.
requirements() {
	local role extras
	if [[ -f $from ]]; then
		extras=$(IFS=,; echo "$*")
		printf '%s\n' "tonnage[${extras/collector/collector,postgres}] @ file://$wheel"
		return
	fi
	printf '%s\n' --require-hashes
	for role; do
		printf '%s\n' -r "$bundle/requirements-$role.txt"
	done
}

# A name that changes with the version, the content and the roles.
release_name() {
	local role digest
	digest=$(
		{
			echo "$*"
			cat "$bundle"/systemd/*.service
			[[ ! -f $from ]] || cat "$wheel"
			[[ -f $from ]] || for role; do cat "$bundle/requirements-$role.txt"; done
		} | sha256sum | cut -c 1-8
	)
	printf '%s-%s' "$version" "$digest"
}

# --- The programs -----------------------------------------------------------------

complete() { [[ -e $1/.complete ]] && "$1/bin/python" -c 'import tonnage' 2>/dev/null; }

# The size of what the roles need of the wheels.
wheels_kib() {
	local pin role
	[[ ! -f $from ]] || { du -sk "$wheels" | cut -f 1; return; }
	for role; do cat "$bundle/requirements-$role.txt"; done | sed -n 's/^\([^ ]*\)==\([^ ]*\).*/\1-\2/p' |
		sed 's/\[.*\]//; s/-\([^-]*$\)/=\1/; s/-/_/g; s/=/-/' | sort -u | while read -r pin; do
		find "$wheels" -iname "$pin-*.whl" -printf '%k\n'
	done | awk '{ sum += $1 } END { print sum + 0 }'
}

check_room() {
	local need have
	# Unpacked and compiled, packages take five times their wheels; pip itself takes 30 MiB.
	need=$(($(wheels_kib "$@") * 6 + 30720))
	have=$(df -Pk "$prefix" | awk 'NR == 2 { print $4 }')
	[[ $have -ge $need ]] ||
		failed "the disk of $prefix has $((have / 1024)) MiB free, $((need / 1024)) MiB are needed: make room, call it again"
}

build_release() {
	local target=$prefix/releases/$1 log=$prefix/install.log program role wanted
	shift
	complete "$target" && return
	find_python
	check_room "$@"
	rm -rf "$target"
	building=$target
	"$python" -m venv --without-pip "$target" >"$log" 2>&1 ||
		{ tail -n 5 "$log" >&2; failed "no environment could be made in $target"; }
	mapfile -t wanted < <(requirements "$@")
	# pip stays outside: a release needs none, and installing it takes longer than all the rest.
	# --isolated: neither the host's pip settings nor its variables have a say.
	"$target/bin/python" "$(pip_wheel)/pip" --isolated --disable-pip-version-check --no-cache-dir install \
		--no-compile --no-index --find-links "$wheels" --only-binary :all: "${wanted[@]}" >>"$log" 2>&1 || pip_failed "$log"
	compile "$target" >>"$log" 2>&1
	for role; do
		program=$(program "$role")
		"$target/bin/$program" --help >>"$log" 2>&1 ||
			{ tail -n 5 "$log" >&2; failed "$program of the new release does not start; the former one is untouched"; }
	done
	cp -r "$bundle/systemd" "$target/units" # a rollback brings its own back
	touch "$target/.complete"
	building=''
	rm -f "$log"
	did "release $(basename "$target") with $("$python" --version)"
}

# On some CPUs, where pip would take one, and without the packages' own tests. What does not
# compile is for another Python; and what is not compiled runs all the same, only starts later.
compile() {
	local cpus
	cpus=$(nproc)
	"$1/bin/python" -m compileall -q -j $((cpus < 4 ? cpus : 4)) -x '/tests/' "$1/lib" || true
}

pip_failed() {
	grep -E '^ERROR|No space left' "$1" | head -n 3 >&2 || tail -n 5 "$1" >&2
	if grep -q 'No space left' "$1"; then
		failed "the disk of $prefix is full: make room, call it again"
	elif grep -q 'No matching distribution' "$1"; then
		failed "the bundle has not all wheels for $("$python" --version): make it with deploy/wheelhouse.sh --python X.Y"
	fi
	failed "pip could not install the wheels in $wheels; its log is $1"
}

# Replaces a link in one step, so that there is always a whole release behind it.
point() {
	local link=$prefix/$1 target=releases/$2
	[[ $(readlink "$link" 2>/dev/null) != "$target" ]] || return 0
	ln -sfn "$target" "$link.new"
	mv -T "$link.new" "$link"
}

switch_to() {
	local before
	before=$(release_of current || true)
	[[ $before != "$1" ]] || return 0
	[[ -z $before ]] || point former "$before"
	point current "$1"
	did "current is $1${before:+, the former $before is kept for a rollback}"
}

prune() {
	local each keep
	keep=" $(release_of current || true) $(release_of former || true) "
	for each in "$prefix"/releases/*; do
		[[ -e $each && $keep != *" $(basename "$each") "* ]] || continue
		rm -rf "$each"
		did "removed release $(basename "$each")"
	done
}

# --- Files ------------------------------------------------------------------------

# put TARGET MODE: standard input becomes the file, in one step, if that changes it.
put() {
	local target=$1 mode=$2
	cat >"$target.new"
	chmod "$mode" "$target.new"
	if cmp -s "$target.new" "$target" && [[ $(stat -c %a "$target") == "$mode" ]]; then
		rm "$target.new"
		return
	fi
	mv -T "$target.new" "$target"
	did "$target"
}

# folder PATH MODE OWNER
folder() {
	local seen
	seen=$(stat -c '%a %U' "$1" 2>/dev/null || true)
	[[ $seen != "$2 $3" ]] || return 0
	install -d -m "$2" -o "$3" -g "$3" "$1"
	did "$1 ($2 $3)"
}

link_program() {
	local name link target
	name=$(program "$1")
	link=$links/$name target=$prefix/current/bin/$name
	[[ $(readlink "$link" 2>/dev/null) != "$target" ]] || return 0
	mkdir -p "$links"
	ln -sfn "$target" "$link"
	did "$link"
}

example() {
	local target=$settings/$1.toml
	[[ ! -e $target ]] || return 0
	{
		cat "$bundle/config/$1.toml.example"
		[[ $1 != agent || ! -d $prefix/share/guest ]] ||
			printf '\nguest_dir = "%s/share/guest"\nimages_dir = "%s/share/images"\n' "$prefix" "$prefix"
	} | put "$target" 644
}

# Guest kernel and workload images, where the bundle has them.
share() {
	[[ -d $bundle/share ]] || return 0
	! diff -rq "$bundle/share" "$prefix/share" >/dev/null 2>&1 || return 0
	mkdir -p "$prefix/share"
	cp -r "$bundle/share/." "$prefix/share/"
	did "$prefix/share"
}

make_account() {
	if getent passwd "$account" >/dev/null; then
		[[ $(id -u "$account") -lt 1000 ]] ||
			unfit "the user $account is a person's here, and the collector must not run as a person"
		return
	fi
	touch "$prefix/roles/.account"
	useradd --system --user-group --no-create-home --home-dir "$data/collector" \
		--shell /usr/sbin/nologin "$account"
	did "user $account"
}

install_agent() {
	folder "$data/agent" 700 root
	share
	example agent
}

install_collector() {
	make_account
	folder "$data/collector" 750 "$account"
	folder "$settings/pki" 700 "$account"
	example collector
}

# --- Services ---------------------------------------------------------------------

unit() {
	local drop=$units/tonnage-$1.service.d/backoff.conf before=$changes
	mkdir -p "$units"
	sed "s|/opt/tonnage|$prefix|g" "$prefix/current/units/tonnage-$1.service" >"$prefix/unit.tmp"
	put "$units/tonnage-$1.service" 644 <"$prefix/unit.tmp"
	rm "$prefix/unit.tmp"
	[[ $changes == "$before" ]] || changed_units+="$1 "
	# From 254 on, systemd can wait longer from one failure to the next.
	[[ $(systemd_version) -ge 254 ]] || return 0
	mkdir -p "$(dirname "$drop")"
	printf '[Service]\nRestartSteps=6\nRestartMaxDelaySec=60s\n' | put "$drop" 644
}

reload_units() {
	local role
	runs_systemd || return 0
	for role in $(installed_roles); do
		[[ $(systemctl show --property NeedDaemonReload --value "tonnage-$role.service") == no ]] || changed_units+="$role "
	done
	[[ $changed_units == ' ' ]] || systemctl daemon-reload
}

systemd_version() {
	local words
	has_systemctl || { echo 0; return; }
	read -ra words < <(systemctl --version)
	[[ ${words[1]:-} =~ ^[0-9]+ ]] && echo "${BASH_REMATCH[0]}" || echo 0
}

enable_unit() {
	local name=tonnage-$1.service
	if ! has_systemctl; then
		say "  left out: no systemctl here, so $name is written and not enabled"
		return
	fi
	if ! systemctl is-enabled --quiet "$name" 2>/dev/null; then
		systemctl enable --quiet "$name" 2>/dev/null || failed "systemctl enable $name failed"
		did "$name enabled"
	fi
	runs_systemd || say "  left out: systemd does not run here, so $name is not started"
}

# Whether a unit that runs is not what is installed: its file changed in this call, or what
# runs comes from another release, as after a call that was interrupted.
outdated() {
	local pid
	[[ $changed_units != *" $1 "* ]] || return 0
	pid=$(systemctl show --property MainPID --value "tonnage-$1.service")
	[[ $pid == 0 ]] || ! tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "/releases/$(release_of current)/"
}

# Starts it, or restarts it where it is outdated.
run_unit() {
	local name=tonnage-$1.service
	runs_systemd && [[ $start == yes ]] || return 0
	if ! certified "$1"; then
		next_steps "$1"
		return
	fi
	if ! systemctl is-active --quiet "$name"; then
		systemctl start "$name" || failed "$name does not start: journalctl -u $name -n 20"
		did "$name started"
	elif outdated "$1"; then
		systemctl restart "$name" || failed "$name does not restart: journalctl -u $name -n 20; install.sh rollback"
		did "$name restarted"
	fi
}

next_steps() {
	if [[ $1 == agent ]]; then
		say '  the agent has not joined, so it does not run yet. Next:'
		say "    on the collector: tonnage token create"
		say "    here: tonnage-agent join --collector HOST:7071 --token -"
	else
		say '  the collector has no certificate, so it does not run yet. Next:'
		say "    runuser -u $account -- tonnage pki init"
	fi
	say "    systemctl start tonnage-$1"
}

# --- Commands ---------------------------------------------------------------------

install_roles() {
	local role name
	find_source
	for role; do
		[[ -f $from || -f $bundle/requirements-$role.txt ]] ||
			unfit "the bundle '$bundle' is not for the $role, which this host has: make one with deploy/wheelhouse.sh --role $role"
	done
	for role; do
		name=$links/$(program "$role")
		[[ ! -e $name || $(readlink "$name") == "$prefix"/* ]] ||
			unfit "$name is there and not from here: move it away, then call this again"
	done
	name=$(release_name "$@")
	if [[ $check == yes ]]; then
		if [[ $(release_of current) == "$name" ]]; then say 'nothing to do'; else say "would install $name"; fi
		return
	fi
	say "Tonnage $version for $*, below $prefix"
	mkdir -p "$prefix/releases" "$prefix/roles" "$settings" "$data"
	exclusively
	build_release "$name" "$@"
	switch_to "$name"
	prune
	for role; do
		[[ -e $prefix/roles/$role ]] || { touch "$prefix/roles/$role"; did "role $role"; }
		"install_$role"
		link_program "$role"
		unit "$role"
	done
	put "$prefix/install.sh" 755 <"${BASH_SOURCE[0]}"
	reload_units
	for role; do
		enable_unit "$role"
		run_unit "$role"
	done
	summary
}

exclusively() {
	exec 9>"$prefix/.lock"
	flock --nonblock 9 || failed "another install.sh works on $prefix: wait for it"
}

summary() {
	if [[ $changes == 0 ]]; then
		say 'nothing to do'
	else
		say "done: $changes changes"
	fi
}

do_install() {
	local role wanted=()
	for role in collector agent; do
		! installed "$role" && [[ " ${roles[*]} " != *" $role "* ]] || wanted+=("$role")
	done
	install_roles "${wanted[@]}"
}

do_upgrade() {
	mapfile -t roles < <(installed_roles)
	[[ ${#roles[@]} -gt 0 ]] || unfit "nothing is installed below $prefix: install.sh agent, or collector"
	install_roles "${roles[@]}"
}

do_rollback() {
	local former current role
	current=$(release_of current) || unfit "nothing is installed below $prefix"
	former=$(release_of former) || unfit 'there is no former release to go back to'
	exclusively
	complete "$prefix/releases/$former" || unfit "the former release $former is not whole: install its bundle"
	for role in $(installed_roles); do
		[[ -x $prefix/releases/$former/bin/$(program "$role") ]] || unfit "the former release $former has no $role"
		"$prefix/releases/$former/bin/$(program "$role")" --help >/dev/null 2>&1 ||
			unfit "the $role of the former release $former does not start here"
	done
	switch_to "$former"
	for role in $(installed_roles); do
		unit "$role"
	done
	reload_units
	for role in $(installed_roles); do
		run_unit "$role"
	done
	summary
}

do_status() {
	local role name current
	current=$(release_of current) || { say "nothing is installed below $prefix"; exit 1; }
	say "release  $current ($prefix)"
	say "former   $(release_of former || echo none)"
	for role in $(installed_roles); do
		name=tonnage-$role.service
		if runs_systemd; then
			say "$role  $(systemctl is-active "$name" || true), $(systemctl is-enabled "$name" 2>/dev/null || true)"
		else
			say "$role  installed; systemd does not run here"
		fi
	done
	for role in $(installed_roles); do
		certified "$role" || next_steps "$role"
	done
}

do_uninstall() {
	local role rest
	[[ -d $prefix/roles || $purge == yes ]] || { say "nothing is installed below $prefix"; return; }
	[[ ! -d $prefix ]] || exclusively
	[[ ${#roles[@]} -gt 0 ]] || roles=(agent collector)
	for role in "${roles[@]}"; do
		remove_role "$role"
	done
	rest=$(installed_roles)
	if [[ -n $rest ]]; then
		say "  kept: $prefix, as the ${rest//$'\n'/ and the } needs it"
	else
		remove_programs
	fi
	[[ $purge == no ]] || { rmdir "$settings" "$data" 2>/dev/null || true; }
	[[ $purge == yes ]] || [[ ! -e $data && ! -e $settings ]] ||
		say "  kept: $data and $settings; --purge removes them"
	summary
}

remove_role() {
	local name=tonnage-$1.service link each
	if has_systemctl && [[ -e $units/$name ]]; then
		! runs_systemd || systemctl stop "$name" || failed "$name does not stop: journalctl -u $name -n 20"
		systemctl disable --quiet "$name" 2>/dev/null || true
	fi
	for each in "$units/$name" "$units/$name.d/backoff.conf" "$units/multi-user.target.wants/$name"; do
		[[ ! -e $each && ! -L $each ]] || { rm -f "$each"; did "removed $each"; }
	done
	rmdir "$units/$name.d" 2>/dev/null || true
	! runs_systemd || systemctl daemon-reload
	link=$links/$(program "$1")
	[[ $(readlink "$link" 2>/dev/null) != "$prefix"/* ]] || { rm "$link"; did "removed $link"; }
	[[ $purge == no ]] || "purge_$1"
	rm -f "$prefix/roles/$1"
}

purge_agent() {
	[[ ! -e $data/agent ]] || did "removed $data/agent"
	rm -rf "$data/agent" "$settings/agent.toml"
}

purge_collector() {
	[[ ! -e $data/collector ]] || did "removed $data/collector and $settings/pki"
	rm -rf "$data/collector" "$settings/pki" "$settings/collector.toml"
	# A user that was there before us is not ours to remove.
	[[ -e $prefix/roles/.account ]] || return 0
	userdel "$account" && did "removed user $account"
	rm -f "$prefix/roles/.account"
}

# A purge without this loses nothing but the note that the user is ours.
remove_programs() {
	[[ -d $prefix ]] || return 0
	if [[ -e $prefix/roles/.account ]]; then
		find "$prefix" -mindepth 1 -maxdepth 1 ! -name roles -exec rm -rf {} +
		did "removed all of $prefix but the note that the user $account is its own"
		return
	fi
	rm -rf "$prefix"
	did "removed $prefix"
}

tidy() {
	local status=$?
	[[ -z $building || $status == 0 ]] || rm -rf "$building"
	exit "$status"
}

main() {
	parse "$@"
	[[ $command == status || $(id -u) == 0 ]] || unfit 'must be run as root: it writes to /opt, /etc and /var/lib'
	trap tidy EXIT
	trap 'exit 130' INT TERM
	"do_$command"
}

main "$@"
