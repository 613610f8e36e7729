#!/usr/bin/env bash
# Prints a folder that holds helm and helmfile: the tests of `usher helmfile roll` run the real ones. USHER_HELM_BIN or PATH is
# taken when it has both; otherwise they are built once from the pinned Go modules beside this file, into a cache outside the
# work tree. Progress goes to stderr.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'helmfile: %s\n' "$*" >&2; }

helm_version=4.3.1
helmfile_version=1.8.0
names=(helm helmfile)
helm_flags="-s -w -X helm.sh/helm/v4/internal/version.version=v$helm_version"
helmfile_flags="-s -w -X go.szostok.io/version.version=v$helmfile_version"

has_all() { local name; for name in "${names[@]}"; do [ -x "$1/$name" ] || return 1; done; }

if [ -n "${USHER_HELM_BIN:-}" ]; then
	has_all "$USHER_HELM_BIN" || { say "USHER_HELM_BIN=$USHER_HELM_BIN lacks one of: ${names[*]}"; exit 1; }
	echo "$USHER_HELM_BIN"
	exit
fi
if on_path=$(command -v helmfile) && has_all "$(dirname "$on_path")"; then
	dirname "$on_path"
	exit
fi

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
key=$(cat "$here"/{helm,helmfile}/go.{mod,sum} "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
out=$cache/helmfile-$key
if has_all "$out"; then
	echo "$out"
	exit
fi

mkdir -p "$cache"
exec 9>"$cache/helmfile.lock"
flock 9 # a second run waits here and then finds the folder
if ! has_all "$out"; then
	say "building helm $helm_version and helmfile $helmfile_version into $out (once; about eleven minutes on two cores)"
	partial=$out.partial
	mkdir -p "$partial"
	export CGO_ENABLED=0
	build() { # MODULE PACKAGE FLAGS
		local begin=$SECONDS
		[ ! -x "$partial/$1" ] || return 0
		(cd "$here/$1" && go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "$3" -o "$partial/$1.new" "$2" >&2)
		mv "$partial/$1.new" "$partial/$1"
		say "$1 built in $((SECONDS - begin))s"
	}
	build helm helm.sh/helm/v4/cmd/helm "$helm_flags"
	build helmfile github.com/helmfile/helmfile "$helmfile_flags"
	rm -rf "$out"
	mv "$partial" "$out"
fi
echo "$out"
