#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check-release.sh: scripts/release, from a tag in a clone whose packages are empty files: what it refuses, what it makes, and that
# it signs where there is a key.

set -euo pipefail
source=$(realpath "$(dirname "$0")/../..")
[ -e "$source/.git" ] || { echo "SKIPPED: this is no repository" && exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

export HOME=$scratch/home GNUPGHOME=$scratch/home/gnupg
mkdir "$HOME"
mkdir -m 700 "$GNUPGHOME"
git config --global user.name tester
git config --global user.email tester@dlm-freeze.invalid
git config --global --add safe.directory '*'
git clone --quiet "$source" "$scratch/clone"
cd "$scratch/clone"
# What is tested is what is in the working tree.
cp "$source/scripts/release" "$source/scripts/package" scripts/
cp "$source/packaging/sbom.py" packaging/
version=$(sed -n 's/^  VERSION //p' CMakeLists.txt)

# The kinds that take minutes make an empty file instead.
for kind in deb rpm arm64 distributor; do
  echo "$kind() { touch \"\$packages/dlm-freeze_1-1_$kind.deb\"; }"
done >"$scratch/kinds"
sed -i "/^kinds=()/e cat '$scratch/kinds'" scripts/package
sed -i "/^## \[$version\]/d" CHANGELOG.md
git add --all
git commit --quiet --message "without packages" --allow-empty

# refused TEXT: it fails and says so.
refused() {
  local text=$1
  shift
  ! scripts/release --unchecked "$@" >"$scratch/log" 2>&1 || fail "not refused: $text"
  grep -q "$text" "$scratch/log" || { cat "$scratch/log" && fail "it did not say: $text"; }
}

refused "there is no tag v$version" "v$version"
git tag "v$version"
refused "no section \[$version\]" "v$version"
sed -i "s/^## \[Unreleased\]/&\n\n## [$version] - 2026-11-29\n\n- Something./" CHANGELOG.md
git commit --quiet --all --message release
git tag --force "v$version" >/dev/null
git tag v9.9.9
refused "another version than 9.9.9" v9.9.9

output=$scratch/output
scripts/release --unchecked --output "$output" "v$version" >"$scratch/log"
grep -q "NOT signed" "$scratch/log" || fail "it signed, or did not say that it did not"
refused "is not empty" --output "$output" "v$version"
(cd "$output" && sha256sum --quiet --check SHA256SUMS) || fail "SHA256SUMS"
for file in "dlm-freeze-$version.tar.gz" "dlm-freeze-$version.spdx.json" RELEASE-NOTES.md dlm-freeze_1-1_deb.deb; do
  grep -q "  $file\$" "$output/SHA256SUMS" || fail "SHA256SUMS lacks $file"
done
grep -q "^- Something" "$output/RELEASE-NOTES.md" || fail "the notes"
tar -xzOf "$output/dlm-freeze-$version.tar.gz" "dlm-freeze-$version/CHANGELOG.md" >/dev/null || fail "the archive"

scripts/release --unchecked --output "$scratch/again" "v$version" >/dev/null
diff -r "$output" "$scratch/again" || fail "the same tag makes other files"

if command -v gpg-agent >/dev/null; then
  gpg --batch --quiet --passphrase '' --quick-generate-key tester@dlm-freeze.invalid default default never 2>/dev/null
  scripts/release --unchecked --output "$scratch/signed" "v$version" >/dev/null
  gpg --quiet --verify "$scratch/signed/SHA256SUMS.asc" "$scratch/signed/SHA256SUMS" 2>/dev/null || fail "the signature"
  gpgconf --kill all
fi
echo "check-release: PASSED"
