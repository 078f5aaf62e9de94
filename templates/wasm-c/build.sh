# Compiles main.c to app.wasm, with the C library for WASI. [build] in quiver.toml runs it.
set -eu
for program in clang wasm-ld; do
  command -v "$program" >/dev/null && continue
  echo "error: there is no $program. Run \"apt-get install clang lld wasi-libc libclang-rt-dev-wasm32\"." >&2
  exit 127
done
exec clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wl,--strip-all -o app.wasm main.c
