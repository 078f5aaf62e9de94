# Compiles SQLite once, into a cache outside of this folder, and main.c with it to app.wasm.
set -eu
source=better-sqlite3-12.11.1 # A package of npm that has SQLite 3 in one C file, as its authors publish it.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/quiver-examples/$source
if [ ! -e "$cache/sqlite3.o" ]; then
  mkdir -p "$cache"
  folder=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  (cd "$folder" && npm pack --silent "${source%-*}@${source##*-}" >/dev/null && tar xzf ./*.tgz package/deps/sqlite3)
  # One thread, no second process to share a file with, no libraries to load at run time.
  clang --target=wasm32-wasi -O2 -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_WAL -DSQLITE_OMIT_LOAD_EXTENSION \
    -c -o "$folder/sqlite3.o" "$folder/package/deps/sqlite3/sqlite3.c"
  mv "$folder/package/deps/sqlite3/sqlite3.h" "$cache/sqlite3.h"
  mv "$folder/sqlite3.o" "$cache/sqlite3.o"
fi
clang --target=wasm32-wasi -O2 -Wall -s "-I$cache" -o app.wasm main.c "$cache/sqlite3.o"
