#!/bin/sh
# QuickJS of Debian's source with the program beside this file: build.sh FOLDER. Makes app.wasm and toolchain there.
set -eu
here=$(dirname "$(readlink -f "$0")")
cd "$1"
sh "$here/../source.sh" quickjs/trixie "$PWD/quickjs"
# As for Emscripten: neither threads, nor a look at the end of the stack, which guests cannot have.
flags="--target=wasm32-wasi -O2 -w -I$here/../setjmp -D_GNU_SOURCE -DEMSCRIPTEN"
for file in quickjs libregexp libunicode cutils dtoa; do
  # shellcheck disable=SC2086 # several flags
  clang $flags "-DCONFIG_VERSION=\"$(cat quickjs/VERSION)\"" -c -o "$file.o" "quickjs/$file.c"
done
clang --target=wasm32-wasi -O2 -Wall -Iquickjs -s -Wl,-z,stack-size=1048576 -o app.wasm "$here/main.c" ./*.o -lm
echo "QuickJS $(cat quickjs/DEBIAN_VERSION), clang $(clang -dumpversion)" >toolchain
