#!/usr/bin/env bash
# The lock-free code of crates/ring under the model checker: `ci/loom.sh [preemptions] [part of a test's name …]`.
# Every interleaving with at most that many preemptions is tried, 3 unless told otherwise: the longest model takes a
# minute with 3.
set -euo pipefail
cd "$(dirname "$0")/.."

preemptions=${1:-3}
[ $# -eq 0 ] || shift

export RUSTFLAGS="--cfg rsipc_loom ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=target/loom
# Far above what a model needs; loom's own limit is for those that never end.
export LOOM_MAX_BRANCHES=20000

for file in loom loom_locks; do
  cargo test --locked --release --package rsipc-ring --test "$file" --no-run
  tests=$(cargo test --quiet --locked --release --package rsipc-ring --test "$file" -- --list | sed -n 's/: test$//p')
  for test in $tests; do
    if [ $# -gt 0 ]; then
      wanted=
      for part in "$@"; do if [[ $test == *"$part"* ]]; then wanted=yes; fi; done
      [ -n "$wanted" ] || continue
    fi
    started=$SECONDS
    LOOM_MAX_PREEMPTIONS=$preemptions cargo test --quiet --locked --release --package rsipc-ring --test "$file" -- --exact "$test" > /dev/null
    echo "loom: $test: held with $preemptions preemptions, $((SECONDS - started)) s"
  done
done
