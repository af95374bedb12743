#!/usr/bin/env bash
# Rust for the workflows, by rustup: the version in $RUST with what the lints need. Installs rustup itself where a
# runner has none.
set -euo pipefail

if ! command -v rustup > /dev/null; then
  curl --proto =https --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
    sh -s -- -y --profile minimal --default-toolchain none --no-modify-path
  export PATH=$HOME/.cargo/bin:$PATH
  echo "$HOME/.cargo/bin" >> "$GITHUB_PATH"
fi
rustup toolchain install "$RUST" --profile minimal --component clippy --component rustfmt --no-self-update
rustup default "$RUST"
