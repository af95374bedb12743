#!/usr/bin/env bash
# Publishes a release from the workflow: `ci/publish.sh ARTIFACTS TAG`. The platforms go first, so that nobody can
# install a main package whose binaries do not exist yet. npm takes the workflow's own identity for authorization and
# attests from which commit each package was built.
set -euo pipefail
cd "$(dirname "$0")/.."

artifacts=$1
tag=$2
version=$(node -p 'require("./package.json").version')
if [ "$tag" != "v$version" ]; then
  echo "publish: the tag is $tag, package.json says $version" >&2
  exit 1
fi
node ci/versions.mjs
if ! grep -q "^## $version (20" CHANGELOG.md; then
  echo "publish: CHANGELOG.md gives no date for $version" >&2
  exit 1
fi

packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT
node ci/pack.mjs "$packed" --artifacts "$artifacts" --all

main=$packed/rsipc-$version.tgz
for tarball in "$packed"/*.tgz; do
  [ "$tarball" = "$main" ] || npm publish "$tarball" --access public --provenance
done
npm publish "$main" --access public --provenance
