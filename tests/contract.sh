#!/usr/bin/env bash
# Checks the contract between usher and its agents: that it is written as buf's rules want, and that it only grows. An agent and
# a coordinator of different releases must understand each other, so nothing that proto/released has may go, change its number or
# its type there. A release ends with `tests/contract.sh --release`, which makes the present contract the released one.
#
# buf is taken from USHER_BUF or PATH; otherwise it is built once from the pinned Go module in tests/buf, into a cache outside
# the work tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'contract: %s\n' "$*" >&2; }

buf=${USHER_BUF:-$(command -v buf || true)}
if [ -z "$buf" ]; then
	cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
	key=$(cat tests/buf/go.{mod,sum} | sha256sum | cut -c1-16)
	buf=$cache/buf-$key
	mkdir -p "$cache"
	exec 9>"$cache/buf.lock"
	flock 9 # a second run waits here and then finds the program
	if [ ! -x "$buf" ]; then
		say "building buf into $buf (once; about two minutes on two cores)"
		(cd tests/buf && CGO_ENABLED=0 go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "-s -w" -o "$buf.partial" \
			github.com/bufbuild/buf/cmd/buf >&2)
		mv "$buf.partial" "$buf"
	fi
	exec 9>&-
fi

cd proto
"$buf" lint .
"$buf" format --diff --exit-code .
if ! "$buf" breaking . --against released; then
	say 'an agent or a coordinator of the last release would no longer be understood; add instead of changing'
	exit 1
fi
if [ "${1:-}" = --release ]; then
	rm -rf released
	cp -r proto released
	say 'proto/released is the present contract'
fi
