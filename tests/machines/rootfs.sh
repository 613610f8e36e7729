#!/usr/bin/env bash
# Prints the folder of the root file systems that the machines of the test bed overlay, one for each release of Debian that
# usher supports: a minimal Debian with systemd, D-Bus, polkit, runc and the CNI plugins. Beside them lies the container image
# that the workers run. Made once with mmdebstrap into a cache outside the work tree, and again each ISO week so that it does
# not rot. Progress goes to stderr.
set -euo pipefail
say() { printf 'rootfs: %s\n' "$*" >&2; }

# systemd 252 and 257: logind and polkit differ in what they allow.
suites=(bookworm trixie)
packages=systemd,systemd-sysv,libpam-systemd,dbus,polkitd,iproute2,nftables,iputils-ping,procps
packages+=,busybox-static,ca-certificates,curl,socat,runc,containernetworking-plugins
# For the Puppet module's test. Its service is not enabled.
packages+=,puppet-agent

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
key=$(cat "${BASH_SOURCE[0]}" <(date +%G-%V) | sha256sum | cut -c1-16)
out=$cache/rootfs-$key
if [ -e "$out/image.tar" ]; then
	echo "$out"
	exit
fi

mkdir -p "$cache"
exec 9>"$cache/rootfs.lock"
flock 9 # a second run waits here and then finds the folder
if [ ! -e "$out/image.tar" ]; then
	say "making root file systems of Debian ${suites[*]} in $out (once a week; about two minutes)"
	begin=$SECONDS
	partial=$out.partial
	rm -rf "$partial"
	mkdir -p "$partial"
	for suite in "${suites[@]}"; do
		mmdebstrap --quiet --variant=minbase --include="$packages" \
			--customize-hook='chroot "$1" systemctl enable systemd-networkd >/dev/null 2>&1' \
			--customize-hook='rm -f "$1/etc/machine-id"; : > "$1/etc/machine-id"; echo base > "$1/etc/hostname"' \
			"$suite" "$partial/$suite" >&2
	done

	# The image of every container on the bed: busybox and its shell, as a docker-archive that `ctr images import` reads.
	layer=$(mktemp -d)
	trap 'rm -rf "$layer"' EXIT
	mkdir -p "$layer/root/bin" "$layer/root/tmp" "$layer/root/etc"
	cp "$partial/${suites[0]}/bin/busybox" "$layer/root/bin/busybox"
	for applet in sh sleep echo cat true; do ln -s busybox "$layer/root/bin/$applet"; done
	tar -C "$layer/root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$layer/layer.tar" .
	digest=$(sha256sum "$layer/layer.tar" | cut -d' ' -f1)
	cat > "$layer/config.json" <<-JSON
		{"architecture":"$(dpkg --print-architecture)","os":"linux",
		 "config":{"Cmd":["/bin/sleep","1000000"],"Env":["PATH=/bin"]},
		 "rootfs":{"type":"layers","diff_ids":["sha256:$digest"]},"history":[]}
	JSON
	echo '[{"Config":"config.json","RepoTags":["bed.local/busybox:1"],"Layers":["layer.tar"]}]' > "$layer/manifest.json"
	tar -C "$layer" -cf "$partial/image.tar" manifest.json config.json layer.tar

	rm -rf "$out"
	mv "$partial" "$out"
	find "$cache" -maxdepth 1 -name 'rootfs-*' ! -name "rootfs-$key" ! -name '*.partial' -exec rm -rf {} + || true
	say "made in $((SECONDS - begin))s"
fi
echo "$out"
