# Makes app.wasm of main.wat. [build] in quiver.toml runs it.
set -eu
if ! command -v wat2wasm >/dev/null; then
  echo 'error: there is no wat2wasm. Run "apt-get install wabt".' >&2
  exit 127
fi
exec wat2wasm -o app.wasm main.wat
