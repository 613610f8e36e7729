#!/usr/bin/env bash
# Prints the path of kwok, which plays the kubelets of nodes that do not exist: the drain benchmark needs more nodes and
# pods than a host has room for. USHER_KWOK or PATH is taken when it has it; otherwise it is built once from the pinned Go
# module beside this file, into a cache outside the work tree. Progress goes to stderr.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'kwok: %s\n' "$*" >&2; }

if [ -n "${USHER_KWOK:-}" ]; then
	[ -x "$USHER_KWOK" ] || { say "USHER_KWOK=$USHER_KWOK is no program"; exit 1; }
	echo "$USHER_KWOK"
	exit
fi
if command -v kwok; then exit; fi

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
key=$(cat "$here"/kwok/go.{mod,sum} "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
out=$cache/kwok-$key
if [ -x "$out" ]; then
	echo "$out"
	exit
fi

mkdir -p "$cache"
exec 9>"$cache/kwok.lock"
flock 9 # a second run waits here and then finds the program
if [ ! -x "$out" ]; then
	say "building kwok into $out (once; about two minutes on two cores)"
	begin=$SECONDS
	(cd "$here/kwok" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "-s -w" \
		-o "$out.partial" sigs.k8s.io/kwok/cmd/kwok >&2)
	mv "$out.partial" "$out"
	say "built in $((SECONDS - begin))s"
fi
echo "$out"
