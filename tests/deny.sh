#!/usr/bin/env bash
# Checks licences, sources and banned crates with cargo-deny, installing it first if it is missing. Advisories are left to
# those who can reach their database: cargo deny check advisories.
set -euo pipefail
version=0.20.2
if ! cargo deny --version 2>/dev/null | grep -qF "$version"; then
	# Not optimised: it runs for seconds, and is built in half the time.
	echo "installing cargo-deny $version (once; a few minutes)" >&2
	cargo install --locked --quiet --debug cargo-deny --version "$version"
fi
cargo deny --locked --log-level warn check bans licenses sources
