#!/usr/bin/env bash
# Everything compiles for the systems that this machine is not: clippy for each target in package.json and for FreeBSD, or
# for those named: `ci/targets.sh [target …]`. Nothing is linked, so it takes no foreign compiler, only each target's
# std, which rustup fetches. A minute for each, the first time two.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
  mapfile -t targets < <(node -p "require('./package.json').napi.targets.join('\n')")
  set -- "${targets[@]}" x86_64-unknown-freebsd
fi

failed=()
for target in "$@"; do
  if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] && ! rustup target add "$target"; then
    echo "targets: $target was not checked, its std cannot be had" >&2
    continue
  fi
  started=$SECONDS
  if cargo clippy --quiet --locked --target "$target" --target-dir target/targets --workspace --all-targets -- -D warnings; then
    echo "$target: compiles, $((SECONDS - started)) s"
  else
    failed+=("$target")
  fi
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "targets: FAILED for ${failed[*]}" >&2
  exit 1
fi
