#!/usr/bin/env bash
# Makes the source tree of a release: the files of the work tree that git knows or would take, and the crates of Cargo.lock in
# vendor/. cargo builds it without network. Needs cargo and the crates' registry, or their cache.
#
#   packaging/source.sh FOLDER       FOLDER/usher-VERSION, and FOLDER/usher_VERSION.orig.tar.xz of it
set -euo pipefail
say() { printf 'source: %s\n' "$*" >&2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:?where to}
version=$("$root/packaging/version.sh")
tree=$folder/usher-$version
# The systems that the packages are built for. Crates that none of them uses are left out.
targets=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu)

mkdir -p "$tree"
cd "$root"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
	if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
done | tar --create --null --files-from=- | tar --extract --directory "$tree"

cd "$tree"
say "fetching the crates of Cargo.lock"
mkdir .cargo
cargo vendor --quiet --locked --versioned-dirs vendor
cat > .cargo/config.toml <<-'TOML'
	[source.crates-io]
	replace-with = "vendored"

	[source.vendored]
	directory = "vendor"
TOML
used=$(for target in "${targets[@]}"; do
	cargo tree --offline --locked --workspace --all-features --target "$target" --edges normal,build,dev --prefix none --format '{p}'
done | awk '{ print $1 "-" substr($2, 2) }' | sort -u)
dropped=0
for crate in vendor/*/; do
	name=$(basename "$crate")
	if grep --quiet --fixed-strings --line-regexp "$name" <<< "$used"; then continue; fi
	# What cargo checks of a crate that it does not build: that it is there, with the checksum that Cargo.lock has for it.
	package=$(grep -o '"package":"[0-9a-f]*"' "$crate/.cargo-checksum.json")
	find "$crate" -mindepth 1 -maxdepth 1 ! -name Cargo.toml ! -name 'LICENSE*' ! -name 'COPYING*' -exec rm -rf {} +
	# A crate has a target: one that Cargo.toml names, or src/lib.rs.
	sed -n 's/^path = "\([^"]*\.rs\)"$/\1/p' "$crate/Cargo.toml" | cat - <(echo src/lib.rs) | while read -r file; do
		mkdir -p "$crate/$(dirname "$file")"
		: > "$crate/$file"
	done
	printf '{"files":{},%s}' "$package" > "$crate/.cargo-checksum.json"
	dropped=$((dropped + 1))
done
say "$(ls vendor | wc -l) crates, of which $dropped are empty shells: no Linux build uses them"
# By vendor/ alone: with a home of its own cargo knows no other crates.
CARGO_HOME=$PWD/.cargo cargo metadata --offline --locked --format-version 1 > /dev/null
rm -f .cargo/.package-cache* .cargo/.global-cache*

# The same tree gives the same archive, on every machine.
find . -exec chmod u=rwX,go=rX {} +
epoch=$(git -C "$root" log -1 --format=%ct)
cd ..
tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=gnu --create "usher-$version" |
	xz --threads=2 -3 > "usher_$version.orig.tar.xz"
say "$folder/usher_$version.orig.tar.xz: $(du -h "usher_$version.orig.tar.xz" | cut -f1)"
