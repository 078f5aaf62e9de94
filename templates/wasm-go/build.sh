# Compiles main.go to app.wasm for WASI preview 1, which Go knows since 1.21. [build] in quiver.toml runs it.
set -eu
if ! go tool dist list 2>/dev/null | grep -qx wasip1/wasm; then
  echo 'error: there is no go 1.21 or newer.' >&2
  echo 'hint: Run "apt-get install golang-go"; on Debian 12, "apt-get install -t bookworm-backports golang-go".' >&2
  exit 127
fi
GOOS=wasip1 GOARCH=wasm exec go build -trimpath -ldflags=-s -o app.wasm .
