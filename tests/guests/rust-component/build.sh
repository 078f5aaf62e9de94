#!/bin/sh
# A component of wasi:cli/command in Rust: build.sh FOLDER. Makes app.wasm and toolchain there.
#
# Debian sid has the standard library for wasm32-wasip2. Its packages are unpacked beside the result, with the libraries that they
# need, and deleted afterwards: the machine keeps its own. What they lack is the linker of that target, which is a linker of modules
# and then `wasm-tools component new`.
set -eu
here=$(dirname "$(readlink -f "$0")")
sid=$1/sid
mkdir -p "$sid/lists/partial" "$sid/archives/partial" "$sid/root" "$sid/bin"
key=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$key] http://deb.debian.org/debian sid main" >"$sid/sources.list"
: >"$sid/status"
get() {
  apt-get -q -o "Dir::Etc::SourceList=$sid/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o "Dir::State=$sid" -o "Dir::State::status=$sid/status" -o "Dir::Cache=$sid" -o APT::Sandbox::User=root "$@" >&2
}
get update
get install --download-only -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld
# The compiler of C among what rustc depends on is not needed for a target without it.
for package in "$sid"/archives/*.deb; do
  case ${package##*/} in
    rustc_* | libstd-rust-1* | libstd-rust-dev-wasm32_* | lld* | libllvm* | libc6_* | lib*[0-9]_* | zlib1g_*) dpkg-deb -x "$package" "$sid/root" ;;
  esac
done
libraries=$sid/root/usr/lib/x86_64-linux-gnu
rust() {
  "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$sid/root/usr/bin/rustc" "$@"
}
llvm=$(echo "$sid"/root/usr/lib/llvm-*/bin/wasm-ld)
cat >"$sid/bin/wasm-ld" <<END
#!/bin/sh
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$llvm" "\$@"
END
chmod +x "$sid/bin/wasm-ld"
rust --sysroot "$sid/root/usr" --target wasm32-wasip2 -O -C strip=symbols -C "linker=$sid/bin/wasm-ld" -o "$1/core.wasm" "$here/main.rs"
"$here/../../../scripts/node" "$here/../component.ts" command "$1/core.wasm" "$1/app.wasm"
echo "$(rust --version | cut -d' ' -f1-2) for wasm32-wasip2, wasm-tools of jco 1.35.0" >"$1/toolchain"
rm -r "$sid" "$1/core.wasm"
