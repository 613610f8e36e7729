#!/usr/bin/env bash
# Checks what Prometheus and Grafana get: metrics of both programs as text that promtool likes, the alerts with their tests, and the
# dashboard: its schema, its queries, and that each metric that an alert or a panel asks for is one that a program has.
#
# promtool is taken from USHER_PROMTOOL or PATH; otherwise from Debian's package, unpacked into a cache outside the work tree and not
# installed, since that would start a server. The dashboard's schema is Grafana's own Go library, built once from tests/grafana.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'prometheus: %s\n' "$*" >&2; }
cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
mkdir -p "$cache"

promtool=${USHER_PROMTOOL:-$(command -v promtool || true)}
if [ -z "$promtool" ]; then
	promtool=$cache/promtool
	if [ ! -x "$promtool" ]; then
		scratch=$(mktemp -d)
		# A package of its own in Debian 14 and later.
		package=promtool
		apt-cache show "$package" >/dev/null 2>&1 || package=prometheus
		say "taking promtool from Debian's package $package"
		(cd "$scratch" && apt-get download --quiet=2 "$package" && dpkg-deb --extract ./*.deb root)
		mv "$scratch/root/usr/bin/promtool" "$promtool"
		rm -rf "$scratch"
	fi
fi

say 'alerts'
(cd packaging/prometheus && "$promtool" check rules usher.rules.yml >&2 && "$promtool" test rules tests.yml >&2)

say 'metrics'
# The tests of metrics leave what an agent and the coordinator have said.
out=$PWD/target/metrics
rm -rf "$out"
mkdir -p "$out"
flags=(--locked --quiet --profile "${USHER_PROFILE:-dev}" --workspace --features usher-testkit/machines)
USHER_METRICS_OUT=$out cargo test "${flags[@]}" --test agent metrics_are_served >&2
USHER_METRICS_OUT=$out cargo test "${flags[@]}" -p usher-coordinator --lib metrics:: >&2
for file in agent coordinator; do
	[ -s "$out/$file.prom" ] || { say "no test has left the metrics of the $file"; exit 1; }
	"$promtool" check metrics <"$out/$file.prom" >&2
done

say 'dashboard'
check=$cache/dashboard-$(cat tests/grafana/go.{mod,sum} tests/grafana/*.go | sha256sum | cut -c1-16)
if [ ! -x "$check" ]; then
	say "building the check of the dashboard into $check (once)"
	(cd tests/grafana && CGO_ENABLED=0 go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$check.partial" .)
	mv "$check.partial" "$check"
fi
"$check" packaging/grafana/usher.json packaging/prometheus/usher.rules.yml "$out"/*.prom >"$out/dashboard.rules.yml"
"$promtool" check rules "$out/dashboard.rules.yml" >&2
