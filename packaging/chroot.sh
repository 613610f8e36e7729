#!/usr/bin/env bash
# Prints the folder of a minimal Debian with what the packages' build needs: debhelper and Debian's own Rust. Made with mmdebstrap
# into a cache outside the work tree, as root, and made again each ISO week so that it does not rot. Progress goes to stderr.
#
#   packaging/chroot.sh [SUITE]      bookworm (the default) or trixie
set -euo pipefail
say() { printf 'chroot: %s\n' "$*" >&2; }

suite=${1:-bookworm}
# The certificates are for unit tests of connections.
packages=debhelper,cargo-web,rustc-web,ca-certificates

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
key=$(cat "${BASH_SOURCE[0]}" <(date +%G-%V) | sha256sum | cut -c1-16)
out=$cache/chroot-$suite-$key
if [ -e "$out/complete" ]; then
	echo "$out/root"
	exit
fi

[ "$(id -u)" -eq 0 ] || { say "making it needs root"; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/chroot-$suite.lock"
flock 9 # a second run waits here and then finds the folder
if [ ! -e "$out/complete" ]; then
	"$(dirname "${BASH_SOURCE[0]}")/require.sh" 'the packages' mmdebstrap
	say "making Debian $suite with its Rust in $out (once a week; some two minutes, 1.2 GB)"
	begin=$SECONDS
	rm -rf "$out"
	mkdir -p "$out"
	# The builder is nobody special: the build must not need to be root (Rules-Requires-Root: no). As on Debian's own builders, localhost
	# has both its addresses.
	mmdebstrap --quiet --variant=buildd --include="$packages" \
		--customize-hook='chroot "$1" useradd --uid 1000 --no-create-home builder; mkdir "$1/build"' \
		--customize-hook='printf "%s localhost\n" 127.0.0.1 ::1 > "$1/etc/hosts"' \
		"$suite" "$out/root" >&2
	touch "$out/complete"
	find "$cache" -maxdepth 1 -name "chroot-$suite-*" ! -name "chroot-$suite-$key" -exec rm -rf {} + || true
	say "made in $((SECONDS - begin))s"
fi
echo "$out/root"
