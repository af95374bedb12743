#!/usr/bin/env bash
# The lock-free code of crates/ring under the model checker: `ci/loom.sh [preemptions] [part of a test's name …]`.
# Every interleaving with at most that many preemptions is tried, 3 unless told otherwise: the longest model takes a
# minute with 3. A model is one thread's work, so there are as many at a time as there are cores.
set -euo pipefail
cd "$(dirname "$0")/.."

export LOOM_MAX_PREEMPTIONS=${1:-3}
[ $# -eq 0 ] || shift

export RUSTFLAGS="--cfg rsipc_loom ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=target/loom
# What the addon's binary gains by these, a model loses in compiling.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# Far above what a model needs; loom's own limit is for those that never end.
export LOOM_MAX_BRANCHES=20000

loom() { cargo test --quiet --locked --release --package rsipc-ring --test "$@"; }
model() { # file, test
  local started=$SECONDS said
  if ! said=$(loom "$1" -- --exact "$2" 2>&1); then
    printf '%s\nloom: %s: FAILED\n' "$said" "$2"
    return 1
  fi
  echo "loom: $2: held with $LOOM_MAX_PREEMPTIONS preemptions, $((SECONDS - started)) s"
}
export -f loom model

cargo test --locked --release --package rsipc-ring --test loom --test loom_locks --no-run
for file in loom loom_locks; do
  tests=$(loom "$file" -- --list | sed -n 's/: test$//p')
  for test in $tests; do
    wanted=$([ $# -gt 0 ] || echo yes)
    for part in "$@"; do if [[ $test == *"$part"* ]]; then wanted=yes; fi; done
    if [ -n "$wanted" ]; then echo "$file $test"; fi
  done
done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} bash -euo pipefail -c 'model {}'
