#!/bin/sh
# Unpacks the source of a Debian package into a new folder, as its authors publish it: without Debian's patches.
#
#   source.sh PACKAGE/RELEASE FOLDER
#
# The machine's own list of sources stays as it is, and is not asked.
set -eu
package=$1
folder=$2
lists=$(dirname "$folder")/apt
key=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$lists/lists/partial" "$lists/archives/partial" "$folder.download"
for release in bookworm trixie; do
  echo "deb-src [signed-by=$key] http://deb.debian.org/debian $release main"
done >"$lists/sources.list"
get() {
  apt-get -q -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists" -o APT::Sandbox::User=root "$@" >&2
}
[ -e "$lists/updated" ] || get update
touch "$lists/updated"
(cd "$folder.download" && get source --download-only "$package")
mkdir "$folder"
tar xf "$folder.download"/*.orig.tar.* -C "$folder" --strip-components 1
ls "$folder.download" | sed -n 's/^[^_]*_\(.*\)\.dsc$/\1/p' >"$folder/DEBIAN_VERSION"
rm -r "$folder.download"
