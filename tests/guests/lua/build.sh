#!/bin/sh
# Lua of Debian's source, with setjmp by exceptions of WebAssembly: build.sh FOLDER. Makes app.wasm and toolchain there.
set -eu
here=$(dirname "$(readlink -f "$0")")
cd "$1"
sh "$here/../source.sh" lua5.4/bookworm "$PWD/lua"
flags="--target=wasm32-wasi -O2 -w -I$here/../setjmp -mllvm -wasm-enable-sjlj -mllvm -exception-model=wasm -mexception-handling"
emulated='-D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS'
rm lua/src/luac.c
for file in lua/src/*.c "$here/../setjmp/setjmp.c"; do
  # shellcheck disable=SC2086 # several flags
  clang $flags $emulated -include "$here/missing.h" -c -o "$(basename "$file" .c).o" "$file"
done
clang --target=wasm32-wasi -s -o app.wasm ./*.o -lwasi-emulated-signal -lwasi-emulated-process-clocks -lm
echo "Lua $(cat lua/DEBIAN_VERSION), clang $(clang -dumpversion)" >toolchain
