#!/usr/bin/env bash
# Makes the files of a release into target/release-VERSION: the source with its crates, the Debian packages, bills of materials,
# checksums. Publishes nothing and tags nothing. As root, for the packages. docs/releases.md has the steps before and after.
set -euo pipefail
say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
version=$(packaging/version.sh)
out=$root/target/release-$version
# As cargo-cyclonedx writes it.
cyclonedx=0.5.9

[ -z "$(git status --porcelain)" ] || die "the work tree has changes that no commit has: commit or remove them"
grep -qE "^## $(printf %s "$version" | sed 's/\./\\./g') - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
	die "CHANGELOG.md has no heading \"## $version - DATE\": see docs/releases.md"
[ "$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)" = "$version-1" ] ||
	die "packaging/debian/changelog does not begin with $version-1: see docs/releases.md"
diff -r proto/proto proto/released > /dev/null ||
	die "proto/released is not the contract of this release: run tests/contract.sh --release"
cargo metadata --quiet --locked --format-version 1 > /dev/null || die "Cargo.lock is not up to date: cargo build, and commit it"

if ! cargo cyclonedx --version 2>/dev/null | grep -qF "$cyclonedx"; then
	say "installing cargo-cyclonedx $cyclonedx (once; a few minutes)"
	cargo install --locked --quiet cargo-cyclonedx --version "$cyclonedx"
fi

# Hours would be lost if a check that fails at the end cost the builds before it: what was built of this very commit is taken again.
commit=$(git rev-parse HEAD)
built=$root/target/release-built
if [ "$(cat "$built/commit" 2>/dev/null)" != "$commit" ]; then
	rm -rf "$built"
	mkdir -p "$built"
	echo "$commit" > "$built/commit"
fi
build() {
	local suite=$1
	shift
	if [ -e "$built/$suite.complete" ]; then
		say "the packages for $suite are those that were built of this commit before"
	else
		packaging/deb.sh --suite "$suite" --output "$built/$suite" "$@"
		touch "$built/$suite.complete"
	fi
}
build bookworm
build trixie --source "$built/bookworm/usher_$version.orig.tar.xz"
rm -rf target/deb/bookworm
mkdir -p target/deb
cp -a "$built/bookworm" target/deb/bookworm
packaging/check.sh

rm -rf "$out"
mkdir -p "$out"
cp -a "$built"/{bookworm,trixie} "$out"
rm "$out"/*/build.log
mv "$out/bookworm/usher_$version.orig.tar.xz" "$out/usher-$version.tar.xz"
# The same file: each suite's source package names it.
for suite in bookworm trixie; do
	ln --force "$out/usher-$version.tar.xz" "$out/$suite/usher_$version.orig.tar.xz"
done

say "writing the bills of materials"
epoch=$(git log -1 --format=%ct)
for program in agent/usher-agent coordinator/usher; do
	folder=${program%/*} name=${program#*/}
	SOURCE_DATE_EPOCH=$epoch cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
		--target x86_64-unknown-linux-gnu --manifest-path "$folder/Cargo.toml"
	[ -e "$folder/${name}_bin.cdx.json" ] || die "cargo-cyclonedx has written no ${name}_bin.cdx.json into $folder"
	mv "$folder/${name}_bin.cdx.json" "$out/$name.cdx.json"
	# One for each binary of the workspace.
	find . -name '*.cdx.json' -not -path './target/*' -delete
done

(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum > SHA256SUMS)
say "all of $version is in $out; now: git tag --sign v$version"
