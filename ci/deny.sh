#!/usr/bin/env bash
# Licences, banned crates and sources of the Rust dependencies, by deny.toml: `ci/deny.sh [check …]`. Without arguments
# it checks all that needs no database; `ci/deny.sh advisories` fetches that of RustSec from GitHub.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
home=$PWD/.cache/cargo-deny-$version
if [ ! -x "$home/bin/cargo-deny" ]; then
  # Unoptimized it compiles in a third of the time, and then takes two seconds instead of one.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --version "$version" --locked --debug --quiet --root "$home"
fi

checks=("$@")
[ ${#checks[@]} -gt 0 ] || checks=(bans licenses sources)
"$home/bin/cargo-deny" --locked check "${checks[@]}"
