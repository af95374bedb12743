#!/bin/sh
# Fetches Node's own test files, which `__test__/node/run.mjs` holds against the package, out of Debian's `nodejs`
# source package, where the mirror this machine's apt already uses has them.
#
#   ci/node-tests.sh [20|22|24]    the major to fetch, 20 unless said
#
# The last line, and the only one on standard output, is the folder that holds `test/`. It lies in `.cache/node-tests`
# of the checkout, which git ignores, and is used again as long as it is there: remove it to fetch anew. None of these
# files enters the repository or the package.
#
#   RSIPC_DEBIAN_MIRROR    mirror to use instead of the one apt is configured with
set -eu

major=${1:-20}
# Debian moves: a major starts in sid, comes to testing, and leaves both when the next one arrives. Each major has a
# list of suites to ask, the one that keeps it longest first.
case $major in
  20) suites='trixie' ;;
  22) suites='sid forky' ;;
  24) suites='forky sid' ;;
  *) echo "usage: ci/node-tests.sh [20|22|24]" >&2; exit 2 ;;
esac

say() { echo "node-tests: $*" >&2; }
die() { say "$@"; exit 1; }

root=$(cd "$(dirname "$0")/.." && pwd)
cache=$root/.cache/node-tests
out=$cache/$major
if [ -f "$out/VERSION" ]; then
  say "$(cat "$out/VERSION"), fetched earlier"
  echo "$out"
  exit 0
fi

command -v apt-get > /dev/null || die "apt-get is missing: the files come from Debian, so this runs on Debian"

# The first source of apt's that looks like Debian's main archive, not its security one and not somebody else's. Cloud
# images name a file with a list of mirrors there; apt reads that form from our source list just as well.
mirror=${RSIPC_DEBIAN_MIRROR:-$(apt-get -o Dir::State::Lists=/nonexistent --print-uris update 2> /dev/null |
  sed -n "s#^'\(.*/debian\(\.list\)\{0,1\}\)/*/dists/.*#\1#p" | head -n 1)}
[ -n "$mirror" ] || die "apt is configured without a Debian mirror (…/debian): set RSIPC_DEBIAN_MIRROR"
key=
for file in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
  if [ -f "$file" ]; then key=$file; break; fi
done
[ -n "$key" ] || die "Debian's keys are missing: install debian-archive-keyring"

# The tarball is xz, which a minimal Debian image cannot unpack.
if ! command -v xz > /dev/null; then
  [ "$(id -u)" = 0 ] || die "xz is missing: run 'apt-get install xz-utils' as root, or run this as root"
  say "installing xz-utils"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends xz-utils; } >&2 ||
    die "xz-utils could not be installed"
fi

# A private set of lists, so that the machine's own apt state is neither needed nor touched. What has been unpacked is
# moved to its place at the very end: a run that is cut short leaves nothing that looks complete.
mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/tree"
private() {
  tool=$1
  shift
  # apt's own user could not write below this checkout. An index past its date still is a signed one, and a mirror
  # that lags does no harm here.
  "$tool" -o Dir::Etc::SourceList="$work/source.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" \
    -o APT::Update::Error-Mode=any -o Acquire::Check-Valid-Until=false -o Acquire::Retries=2 "$@"
}

version=
seen=
unread=
for suite in $suites; do
  echo "deb-src [signed-by=$key] $mirror $suite main" > "$work/source.list"
  say "asking $mirror $suite"
  if ! private apt-get -qq update >&2; then
    unread="$unread $suite"
    continue
  fi
  here=$(private apt-cache showsrc --only-source nodejs | sed -n 's/^Version: //p' | sort -uV)
  seen="$seen $suite has $(echo "${here:-no nodejs}" | tr '\n' ' ');"
  version=$(echo "$here" | grep "^$major\." | tail -n 1) || true
  [ -z "$version" ] || break
done
[ -n "$version" ] || [ -n "$seen" ] ||
  die "Debian cannot be reached at $mirror (apt says why above): no test files, so nothing can be run"
[ -n "$version" ] || [ -z "$unread" ] ||
  die "no Node $major in Debian:$seen but$unread could not be read (apt says why above)"
[ -n "$version" ] || die "Debian no longer has Node $major:$seen name another suite in ci/node-tests.sh, or drop $major"

# Of the package's files only the upstream tarball is wanted. `apt-get source` would insist on all of them, and the
# others of an old version may be gone from the pool already. apt-helper checks the sum, which apt has from the signed
# index.
say "downloading nodejs $version from $suite"
wanted=$(private apt-get -q source --tar-only --print-uris "nodejs=$version" | grep "^'.*\.orig\.tar\.") ||
  die "nodejs $version has no orig tarball"
uri=$(echo "$wanted" | sed "s/^'\([^']*\)'.*/\1/")
tarball=$work/$(echo "$wanted" | cut -d ' ' -f 2)
private /usr/lib/apt/apt-helper -q download-file "$uri" "$tarball" "${wanted##* }" >&2 ||
  die "nodejs $version could not be downloaded from $mirror"

# The tarball is what counts, not the suite's or the package's name.
numbers=$(basename "$tarball" | sed -E 's/^nodejs_([0-9]+\.[0-9]+\.[0-9]+).*/\1/')
[ "${numbers%%.*}" = "$major" ] || die "$suite was to have Node $major, but its tarball is of $numbers"
tar -xf "$tarball" -C "$work/tree" --strip-components=1 --wildcards --no-wildcards-match-slash '*/test'
for part in test/common test/parallel test/sequential test/fixtures; do
  [ -d "$work/tree/$part" ] || die "the tarball of $numbers lacks $part"
done
echo "Node $numbers, from nodejs $version of $suite" > "$work/tree/VERSION"
rm -rf "$out"
mv "$work/tree" "$out"
say "$(cat "$out/VERSION")"
echo "$out"
