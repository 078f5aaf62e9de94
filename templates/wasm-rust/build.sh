# Compiles main.rs to app.wasm for WASI preview 1. [build] in quiver.toml runs it.
set -eu
rustc=${RUSTC:-rustc}
# The newer and the older name of the same target; Debian 12 has the older one.
for target in wasm32-wasip1 wasm32-wasi; do
  libraries=$("$rustc" --print target-libdir --target "$target" 2>/dev/null) || continue
  [ -d "$libraries" ] || continue
  exec "$rustc" --edition 2021 --target "$target" -O -C strip=symbols -o app.wasm main.rs
done
echo "error: there is no $rustc with a standard library for WASI." >&2
echo 'hint: Run "apt-get install rustc libstd-rust-dev-wasm32 lld", or "rustup target add wasm32-wasip1".' >&2
exit 127
