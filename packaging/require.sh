#!/usr/bin/env bash
# Installs the Debian packages that are named, those that are missing; says so first. Needs root for that, or sudo.
#
#   packaging/require.sh PURPOSE PACKAGE...
set -euo pipefail
purpose=$1
shift
missing=()
for package in "$@"; do
	dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing for $purpose: ${missing[*]}" >&2
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update --quiet=2
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" >&2
