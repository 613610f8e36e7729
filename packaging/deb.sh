#!/usr/bin/env bash
# Builds the Debian packages usher-agent and usher from this work tree, in a clean Debian without network, by Debian's own Rust,
# and not as root. Needs root all the same, for the chroot (packaging/chroot.sh) and for a network namespace of its own.
#
#   packaging/deb.sh [--suite SUITE] [--output FOLDER] [--nocheck] [--elsewhere]
#     --suite SUITE        bookworm (the default) or trixie
#     --output FOLDER      where the packages go: by default target/deb/SUITE
#     --source FILE        the usher_VERSION.orig.tar.xz that an earlier build has made, in place of the work tree
#     --nocheck            without the unit tests
#     --noopt              not optimised: for tests of the build itself, in a fraction of the time
#     --elsewhere          in another folder, time zone and umask: the packages must come out the same
#
#   packaging/deb.sh --prebuilt FOLDER --output FOLDER [--package-version VERSION]
#     For tests of the packaging: the same debian/ around programs that are built already, on this Debian, in seconds.
set -euo pipefail
say() { printf 'deb: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

suite=bookworm output='' source='' prebuilt='' package_version='' options='' elsewhere=''
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suite=$2 && shift 2 ;;
	--output) output=$2 && shift 2 ;;
	--source) source=$(realpath "$2") && shift 2 ;;
	--prebuilt) prebuilt=$(realpath "$2") && shift 2 ;;
	--package-version) package_version=$2 && shift 2 ;;
	--nocheck | --noopt) options="$options ${1#--}" && shift ;;
	--elsewhere) elsewhere=yes && shift ;;
	*) die "unknown option $1: see the top of $0" ;;
	esac
done
output=${output:-$root/target/deb/$suite}
mkdir -p "$output"
rm -f "$output"/usher*.* "$output/build.log"
output=$(realpath "$output")

version=$("$root/packaging/version.sh")
[ "$(dpkg-parsechangelog -l "$root/packaging/debian/changelog" -S Version)" = "$version-1" ] ||
	die "packaging/debian/changelog has another version than Cargo.toml ($version): see docs/releases.md"

# Not below the work tree: cargo would find the work tree's Cargo.toml above the build's own.
work=$(mktemp -d -t usher-deb.XXXXXX)
trap 'rm -rf "$work"' EXIT

if [ -n "$prebuilt" ]; then
	tree=$work/usher-$version
	mkdir "$tree"
	cp -a "$root"/{CHANGELOG.md,README.md,docs,proto,packaging} "$root/packaging/debian" "$tree"
	if [ -n "$package_version" ]; then
		sed -i "1s/(.*)/($package_version)/" "$tree/debian/changelog"
	fi
	# The build needs no Rust, so what it depends on is not asked for. Tests wait for the compression.
	(cd "$tree" && USHER_PREBUILT=$prebuilt DEB_BUILD_OPTIONS=noautodbgsym DPKG_DEB_COMPRESSOR_TYPE=gzip DPKG_DEB_COMPRESSOR_LEVEL=1 \
		dpkg-buildpackage --build=binary --no-check-builddeps --no-sign) > "$work/log" 2>&1 ||
		die "$(tail -n 30 "$work/log")"
	mv "$work"/*.deb "$output"
	exit
fi

chroot=$("$root/packaging/chroot.sh" "$suite")
[ "$(id -u)" -eq 0 ] || die "this needs root, for the chroot"
place=here zone=UTC mask=022
if [ -n "$elsewhere" ]; then
	place=some/where/else/with-a-much-longer-name zone=Pacific/Kiritimati mask=002
fi
mkdir -p "$work/$place"
if [ -n "$source" ]; then
	cp "$source" "$work/$place/usher_$version.orig.tar.xz"
	tar --extract --xz --directory "$work/$place" --file "$source"
else
	"$root/packaging/source.sh" "$work/$place"
fi
cp -a "$root/packaging/debian" "$work/$place/usher-$version/debian"
chown -R 1000:1000 "$work"
say "building on Debian $suite, without network; the log is $output/build.log"
begin=$SECONDS
cat > "$work/build.sh" <<-SH
	set -eu
	umask $mask
	cd /build/$place/usher-$version
	dpkg-buildpackage --no-sign
SH
# The namespaces end with the build, and everything mounted in them.
unshare --mount --net --pid --fork --kill-child -- bash -euc '
	chroot=$1 work=$2 zone=$3 options=$4
	# The tests of the door use loopback, the one network that there is.
	ip link set lo up
	mount --bind "$work" "$chroot/build"
	mount -t proc proc "$chroot/proc"
	mount -t tmpfs tmpfs "$chroot/tmp"
	# Not exec: who changes its user is not told any more when its parent dies, and would go on without it.
	chroot --userspec=1000:1000 "$chroot" env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/nonexistent LANG=C.UTF-8 TZ="$zone" DEB_BUILD_OPTIONS="$options" sh /build/build.sh
' bash "$chroot" "$work" "$zone" "$options" > "$output/build.log" 2>&1 ||
	die "the build failed after $((SECONDS - begin))s: $(tail -n 30 "$output/build.log")"
find "$work/$place" -maxdepth 1 -type f -exec mv -t "$output" {} +
say "built in $((SECONDS - begin))s:"
(cd "$output" && ls ./*.deb) >&2
