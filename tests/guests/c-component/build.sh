#!/bin/sh
# A component of wasi:http/proxy in C: build.sh FOLDER. Makes app.wasm and toolchain there.
set -eu
here=$(dirname "$(readlink -f "$0")")
clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -s -o "$1/core.wasm" "$here/main.c"
"$here/../../../scripts/node" "$here/../component.ts" proxy "$1/core.wasm" "$1/app.wasm"
rm "$1/core.wasm"
echo "clang $(clang -dumpversion), wasm-tools of jco 1.35.0" >"$1/toolchain"
