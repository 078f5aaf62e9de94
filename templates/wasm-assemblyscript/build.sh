# Compiles index.ts to app.wasm. [build] in quiver.toml runs it; the first time it gets the compiler from npm.
set -eu
if ! command -v npm >/dev/null; then
  echo 'error: there is no npm. Run "apt-get install npm".' >&2
  exit 127
fi
[ -e node_modules/.bin/asc ] || npm install --no-audit --no-fund
# A fresh instance answers one request, so memory is never given back; a failed assertion ends it.
exec node_modules/.bin/asc index.ts --outFile app.wasm --optimize --runtime stub --use abort=
