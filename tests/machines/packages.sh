#!/usr/bin/env bash
# Installs the Debian packages that the test bed needs, if any is missing; says so first. Needs root for that.
set -euo pipefail
# The last two build the agent's own package, around programs that are there.
"$(dirname "${BASH_SOURCE[0]}")/../../packaging/require.sh" 'the real machines' \
	systemd-container mmdebstrap haproxy iproute2 nftables util-linux e2fsprogs perl dpkg-dev debhelper
