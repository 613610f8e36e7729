#!/usr/bin/env bash
# Prints a folder that holds everything the machines of the test bed run: etcd, Kubernetes, containerd and a runc
# wrapper. USHER_KUBE_BIN or PATH is taken when it has them all; otherwise they are built once from the pinned Go
# modules beside this file, into a cache outside the work tree. Progress goes to stderr.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'binaries: %s\n' "$*" >&2; }

kube_version=1.37.2
containerd_version=2.4.2
names=(etcd etcdctl kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet
	containerd containerd-shim-runc-v2 ctr runc-nocgroup)
# Without the version set by the linker the servers call themselves v0.0.0-master and kubectl complains of skew.
kube_flags="-s -w
	-X k8s.io/component-base/version.gitVersion=v$kube_version
	-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37
	-X k8s.io/client-go/pkg/version.gitVersion=v$kube_version"
containerd_flags="-s -w -X github.com/containerd/containerd/v2/version.Version=$containerd_version"

has_all() { local name; for name in "${names[@]}"; do [ -x "$1/$name" ] || return 1; done; }

if [ -n "${USHER_KUBE_BIN:-}" ]; then
	has_all "$USHER_KUBE_BIN" || { say "USHER_KUBE_BIN=$USHER_KUBE_BIN lacks one of: ${names[*]}"; exit 1; }
	echo "$USHER_KUBE_BIN"
	exit
fi
if on_path=$(command -v kube-apiserver) && has_all "$(dirname "$on_path")"; then
	dirname "$on_path"
	exit
fi

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}
key=$(cat "$here"/{containerd,kube,runc}/go.mod "$here"/kube/go.sum "$here"/containerd/go.sum "$here"/runc/main.go "${BASH_SOURCE[0]}" |
	sha256sum | cut -c1-16)
out=$cache/machines-$key
if has_all "$out"; then
	echo "$out"
	exit
fi

mkdir -p "$cache"
exec 9>"$cache/machines.lock"
flock 9 # a second run waits here and then finds the folder
if ! has_all "$out"; then
	say "building etcd, Kubernetes $kube_version and containerd $containerd_version into $out (once; ten to fifteen minutes on two cores)"
	partial=$out.partial
	mkdir -p "$partial"
	export CGO_ENABLED=0
	build() { # MODULE NAME PACKAGE FLAGS...
		local module=$1 name=$2 package=$3 begin=$SECONDS
		shift 3
		[ ! -x "$partial/$name" ] || return 0
		# The linker drops what debuggers want anyway; without it an eighth of the work is saved.
		(cd "$here/$module" && go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false "$@" -o "$partial/$name.new" "$package" >&2)
		mv "$partial/$name.new" "$partial/$name"
		say "$name built in $((SECONDS - begin))s"
	}
	build runc runc-nocgroup .
	build kube etcd go.etcd.io/etcd/server/v3 -ldflags "$kube_flags"
	build kube etcdctl go.etcd.io/etcd/etcdctl/v3 -ldflags "$kube_flags"
	for name in kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet; do
		build kube "$name" "k8s.io/kubernetes/cmd/$name" -ldflags "$kube_flags"
	done
	for name in containerd containerd-shim-runc-v2 ctr; do
		build containerd "$name" "github.com/containerd/containerd/v2/cmd/$name" \
			-tags no_btrfs,no_devmapper,no_zfs -ldflags "$containerd_flags"
	done
	rm -rf "$out"
	mv "$partial" "$out"
fi
echo "$out"
