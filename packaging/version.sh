#!/usr/bin/env bash
# Prints the version of this work tree, of which Cargo.toml is the one place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sed -n '/^\[workspace\.package\]/,/^\[dep/s/^version = "\(.*\)"$/\1/p' Cargo.toml
