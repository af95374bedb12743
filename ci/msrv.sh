#!/usr/bin/env bash
# Everything compiles with the oldest Rust that Cargo.toml promises. Installs that toolchain with rustup.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
rustup toolchain install "$version" --profile minimal --no-self-update
cargo "+$version" check --locked --workspace --all-targets --target-dir target/msrv
