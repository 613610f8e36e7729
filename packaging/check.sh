#!/usr/bin/env bash
# Checks the packages that `make deb` has built: lintian, a second build that must come out the same, piuparts, and autopkgtest on a
# booted machine. Installs Debian's tools for it. As root.
#
#   packaging/check.sh [lintian|rebuild|piuparts|autopkgtest]...       all four if none is named
set -euo pipefail
say() { printf 'check: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suite=bookworm
built=$root/target/deb/$suite
version=$("$root/packaging/version.sh")
compgen -G "$built/*.changes" > /dev/null || die "there is no package in $built: run \`make deb\` first"
packages=("$built"/usher{,-agent}_"$version"-*_*.deb)

"$root/packaging/require.sh" 'the checks of packages' lintian piuparts mmdebstrap systemd-container util-linux

work=$(mktemp -d -t usher-check.XXXXXX)
leader=''
clean_up() {
	if [ -n "$leader" ]; then kill -KILL "$leader" || true; fi
	if [ -n "${nspawn:-}" ]; then wait "$nspawn" || true; fi
	rm -rf "$work"
}
trap clean_up EXIT

# Every tag that is not overridden counts, down to pedantic ones. The overrides say why.
check_lintian() {
	local said
	said=$(lintian --profile debian --display-experimental --display-info --pedantic --allow-root "$built"/*.changes 2>&1 || true)
	[ -z "$said" ] || die "lintian says:"$'\n'"$said"
	say "lintian has nothing to say"
}

check_rebuild() {
	"$root/packaging/deb.sh" --suite "$suite" --nocheck --elsewhere --output "$work/rebuilt" \
		--source "$built/usher_$version.orig.tar.xz"
	local package
	for package in "$built"/*.deb; do
		cmp "$package" "$work/rebuilt/$(basename "$package")" || die "another build of $(basename "$package") is not the same"
	done
	say "a build in another folder, time zone and umask gives the same packages"
}

# Without systemd and polkit in the base system, what these leave behind themselves would be taken for ours.
check_piuparts() {
	mmdebstrap --quiet --variant=minbase --include=ca-certificates,systemd,systemd-sysv,polkitd,dbus "$suite" "$work/base.tar.gz"
	piuparts --basetgz="$work/base.tar.gz" --distribution="$suite" --no-eatmydata --log-file="$work/piuparts.log" \
		"${packages[@]}" > /dev/null || die "piuparts: $(grep -E 'ERROR|FAIL' "$work/piuparts.log" || tail -n 20 "$work/piuparts.log")"
	say "piuparts installs and purges, and finds nothing left"
}

# In a machine of its own, with the packages installed: systemd, D-Bus and polkit are real.
check_autopkgtest() {
	local machine=$work/machine
	mmdebstrap --quiet --variant=minbase \
		--include=systemd,systemd-sysv,libpam-systemd,polkitd,dbus,autopkgtest,dpkg-dev,openssl,man-db "$suite" "$machine"
	mkdir "$machine/root/source"
	cp -a "$root/packaging/debian" "$machine/root/source/debian"
	cp "${packages[@]}" "$machine/root"
	systemd-nspawn --quiet --directory="$machine" --boot --machine=usher-check --register=no --keep-unit --private-network \
		--console=pipe < /dev/null > "$work/machine.log" 2>&1 &
	nspawn=$!
	local tries
	for tries in $(seq 120); do
		leader=$(pgrep --parent "$nspawn" || true)
		if [ -n "$leader" ] && inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; then break; fi
		[ "$tries" -lt 120 ] || die "the machine does not boot: $(tail -n 20 "$work/machine.log")"
		sleep 0.5
	done
	inside sh -euc 'ip link set lo up 2>/dev/null || true; dpkg --install /root/*.deb'
	inside autopkgtest --no-built-binaries /root/source -- null || die "autopkgtest failed"
	say "autopkgtest passes on a booted machine"
}
inside() {
	nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- \
		env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

for check in "${@:-lintian rebuild piuparts autopkgtest}"; do
	for one in $check; do "check_$one"; done
done
