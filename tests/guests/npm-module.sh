#!/bin/sh
# A module that a package of npm ships: npm-module.sh PACKAGE PATH FOLDER. Makes app.wasm and toolchain there.
set -eu
cd "$3"
npm pack --silent "$1" >/dev/null
tar xzf ./*.tgz "package/$2" package/package.json
mv "package/$2" app.wasm
echo "$(sed -n 's/^ *"name": "\(.*\)",$/\1/p' package/package.json | head -n 1) $(sed -n 's/^ *"version": "\(.*\)",$/\1/p' package/package.json | head -n 1)" >toolchain
rm -r ./*.tgz package
