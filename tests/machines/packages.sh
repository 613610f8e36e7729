#!/usr/bin/env bash
# Installs the Debian packages that the test bed needs, if any is missing; says so first. Needs root for that.
set -euo pipefail
# The last two build the agent's own package, around programs that are there.
packages=(systemd-container mmdebstrap haproxy iproute2 nftables util-linux e2fsprogs perl dpkg-dev debhelper)
missing=()
for package in "${packages[@]}"; do
	dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing for the real machines: ${missing[*]}" >&2
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update --quiet=2
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}"
