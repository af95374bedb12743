#!/usr/bin/env bash
# Everything compiles for the systems that this machine is not: clippy for each target in package.json and for FreeBSD, or
# for those named: `ci/targets.sh [target …]`. Nothing is linked, so it takes no foreign compiler, only a nightly Rust with
# rust-src, out of which each target's std is checked as well: a minute or two for each.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly --version > /dev/null 2>&1 || [ ! -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ]; then
  echo "targets: nothing was checked, there is no nightly with its source: rustup toolchain install nightly --component rust-src,clippy" >&2
  exit 0
fi
if [ $# -eq 0 ]; then
  mapfile -t targets < <(node -p "require('./package.json').napi.targets.join('\n')")
  set -- "${targets[@]}" x86_64-unknown-freebsd
fi

# napi-build looks for what a binding is linked with on Windows with GNU's tools.
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
touch "$empty/libnode.dll"

failed=()
for target in "$@"; do
  started=$SECONDS
  # Nightly's clippy does not find some of the methods that .clippy.toml bans, and so no use of them where one is expected.
  if LIBNODE_PATH=$empty cargo +nightly clippy --quiet --locked -Zbuild-std=std,panic_abort,panic_unwind --target "$target" \
    --target-dir target/targets --workspace --all-targets -- -D warnings -A unfulfilled-lint-expectations; then
    echo "$target: compiles, $((SECONDS - started)) s"
  else
    failed+=("$target")
  fi
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "targets: FAILED for ${failed[*]}" >&2
  exit 1
fi
