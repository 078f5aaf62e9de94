#!/bin/sh
# A program in C++: build.sh FOLDER. Makes app.wasm and toolchain there.
set -eu
here=$(dirname "$(readlink -f "$0")")
# Debian's library is built without exceptions.
clang++ --target=wasm32-wasi -fno-exceptions -O2 -Wall -s -o "$1/app.wasm" "$here/main.cc"
echo "clang $(clang -dumpversion)" >"$1/toolchain"
