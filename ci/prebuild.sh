#!/usr/bin/env bash
# Builds the addon for one target as it is published, and tests it as far as this machine can run it:
# `ci/prebuild.sh TARGET`, a Rust triple out of package.json. The binary is left in lib/.
#
# Linux with glibc is linked against glibc 2.17, by the cross toolchain that napi-rs keeps on npm; musl by zig, and
# tested in an Alpine container. macOS and Windows build on themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$1
zig_version=0.17.0
arguments=(--target "$target")

npm ci --no-audit --no-fund
rustup target add "$target"
case $target in
  *-linux-gnu) arguments+=(--use-napi-cross) ;;
  *-linux-musl)
    # zig comes as a Python package, and is called by the name that cargo-zigbuild and napi look for.
    tools=$PWD/.cache/zig-$zig_version
    if [ ! -x "$tools/bin/zig" ]; then
      python3 -m venv "$tools"
      "$tools/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version"
      printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$tools/bin/python3" > "$tools/bin/zig"
      chmod +x "$tools/bin/zig"
    fi
    export PATH=$tools/bin:$PATH
    arguments+=(--cross-compile)
    ;;
esac
rm -f lib/*.node
npm run --silent build -- "${arguments[@]}" -- --locked
ls -l lib/*.node

host=$(rustc -vV | sed -n 's/^host: //p')
if [ "$target" = "$host" ]; then
  # On Windows fork is Node's own: what is tested there is that the package installs, loads and stays out of the way, and
  # what there is of servers and clients.
  case $target in
    *-windows-*) node ci/test.mjs endpoint/sockets ;;
    *) node ci/test.mjs ;;
  esac
  bash ci/pack-smoke.sh
elif [ "$target" = "${host/-gnu/-musl}" ]; then
  docker run --rm --volume "$PWD:/rsipc" --workdir /rsipc node:20-alpine sh -c \
    'apk add --no-cache bash python3 openssl && node ci/test.mjs && bash ci/pack-smoke.sh'
else
  echo "prebuild: $target was built and not tested, this is $host" >&2
fi
