#!/usr/bin/env bash
# Checks the Puppet module: syntax of manifests and templates, puppet-lint, rspec-puppet, the examples' catalogues, and whether
# REFERENCE.md is current. Installs the Debian packages that it needs, if any is missing; says so first. `--write` writes
# REFERENCE.md and the files that the specs compare with, instead of comparing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../packaging/puppet/usher"

../../require.sh 'the Puppet module' puppet-agent puppet-lint puppet-strings ruby-rspec ruby-rspec-puppet

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Puppet's own folders: the checks neither read nor change those of this host.
settings=(--confdir "$scratch/conf" --vardir "$scratch/var")
say() { printf 'puppet: %s\n' "$*" >&2; }
# Where process 1 is not to be read, as in a container, facter says so each time.
quietly() { "$@" 2> >(grep -v 'Facter: Permission denied' >&2); }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' ../../../Cargo.toml)
if ! grep -qF "\"version\": \"$version\"" metadata.json; then
	say "metadata.json does not have the version of Cargo.toml, $version"
	exit 1
fi

say 'syntax'
quietly puppet parser validate "${settings[@]}" manifests types functions examples
quietly puppet epp validate "${settings[@]}" templates/*.epp

say 'puppet-lint'
puppet-lint --fail-on-warnings manifests types functions examples

say 'rspec-puppet'
write=${1:-}
[ "$write" != --write ] || export UPDATE_GOLDEN=1
quietly rspec --format progress

# Reading the sources with another version of puppet-strings words the page otherwise.
say 'REFERENCE.md'
# yard leaves its database in the working folder.
mkdir "$scratch/module"
cp -r manifests types functions lib "$scratch/module/"
(cd "$scratch/module" && puppet strings generate --format markdown --out REFERENCE.md "${settings[@]}" \
	>"$scratch/strings.log" 2>&1) || { cat "$scratch/strings.log" >&2; exit 1; }
if grep -E '^\[(warn|error)\]|[( ][1-9][0-9]* undocumented' "$scratch/strings.log" >&2; then
	say 'puppet-strings is not content'
	exit 1
fi
if [ "$write" = --write ]; then
	cp "$scratch/module/REFERENCE.md" REFERENCE.md
elif ! diff -u REFERENCE.md "$scratch/module/REFERENCE.md" >&2; then
	say 'REFERENCE.md is stale; run: tests/puppet.sh --write'
	exit 1
fi
