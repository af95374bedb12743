#!/usr/bin/env bash
# Fuzzes: `ci/fuzz.sh [seconds for each target, 60 unless said] [target …]`, as many targets at a time as there are
# cores. The Rust targets are those under fuzz/, with libFuzzer and AddressSanitizer; `codec`, `channel` and `cluster`
# are the JavaScript codec, whole channels and a cluster's primary, by __test__/fuzz/codec.mjs,
# __test__/fuzz/channel.mjs and __test__/fuzz/cluster.mjs.
#
# What cargo-fuzz would do takes a few flags, and no nightly: stable rustc has the same passes and ships the sanitizer's
# runtime, and RUSTC_BOOTSTRAP lets it take the flags. What is found lies in fuzz/artifacts/<target>/ and the input is
# run again with:  fuzz/target/<triple>/release/<target> <file>
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
triple=$(rustc -vV | sed -n 's/^host: //p')
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
  targets+=(codec channel cluster)
fi

build() {
  local flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Zsanitizer=address
    -Cdebug-assertions
    -Cforce-frame-pointers
    --cfg=fuzzing
  )
  # With --target, build scripts and macros are built without the flags.
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" \
    cargo build --locked --release --manifest-path fuzz/Cargo.toml --target "$triple" --bins
}

fuzz() {
  local target=$1 log
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  log=fuzz/artifacts/$target/log
  local arguments=(
    "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1
    "-artifact_prefix=fuzz/artifacts/$target/" "fuzz/corpus/$target"
  )
  if [ -f "fuzz/dictionaries/$target" ]; then arguments+=("-dict=fuzz/dictionaries/$target"); fi
  if [ -d "fuzz/seeds/$target" ]; then arguments+=("fuzz/seeds/$target"); fi
  if ! "fuzz/target/$triple/release/$target" "${arguments[@]}" 2> "$log"; then
    { grep -A 4 'panicked at' "$log" || true; tail -n 40 "$log"; } >&2
    echo "fuzz $target: FAILED; the input is in fuzz/artifacts/$target" >&2
    return 1
  fi
  # A fuzzer that sees no coverage finds nothing and looks just as well.
  local first last runs
  first=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$log" | head -n 1)
  last=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  echo "fuzz $target: $runs runs, coverage $first to $last, $(find "fuzz/corpus/$target" -type f | wc -l) inputs kept"
  if [ -z "$last" ] || [ "$last" -lt 100 ]; then
    echo "fuzz $target: FAILED: the target is not instrumented" >&2
    return 1
  fi
}

# One target; what it says comes in one piece, as others run beside it.
one() {
  local said code=0
  said=$(
    echo "fuzz $1: $seconds s"
    case $1 in
      codec) node __test__/fuzz/codec.mjs "${seconds}s" ;;
      channel) node __test__/fuzz/channel.mjs "$seconds" ;;
      cluster) node --expose-gc __test__/fuzz/cluster.mjs "$seconds" ;;
      *) fuzz "$1" ;;
    esac 2>&1
  ) || code=$?
  printf '%s\n' "$said"
  return "$code"
}

built=
for target in "${targets[@]}"; do
  case $target in
    codec) ;;
    channel | cluster) node ci/setup.mjs ;;
    *)
      [ -n "$built" ] || build
      built=yes
      ;;
  esac
done
export seconds triple
export -f fuzz one
printf '%s\n' "${targets[@]}" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} bash -euo pipefail -c 'one {}'
