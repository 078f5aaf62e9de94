#!/bin/sh
# GNU coreutils of Debian's source, as far as they compile for WASI: build.sh FOLDER.
#
# Makes there: NAME.wasm for each program, `toolchain`, and `left-out`, which says why the others do not compile.
set -eu
here=$(dirname "$(readlink -f "$0")")
cd "$1"
target=$PWD
sh "$here/../source.sh" coreutils/bookworm "$target/source"
cd source

emulated='SIGNAL PROCESS_CLOCKS MMAN GETPID'
flags='-O2 -w'
libraries=''
for name in $emulated; do
  flags="$flags -D_WASI_EMULATED_$name"
  libraries="$libraries -lwasi-emulated-$(echo "$name" | tr A-Z_ a-z-)"
done
# Only df and its like need a list of file systems, and do not compile; the rest shall not wait for it.
FORCE_UNSAFE_CONFIGURE=1 ./configure -q --host=wasm32-unknown-wasi --disable-nls --disable-threads --disable-acl \
  --disable-xattr --without-selinux --without-libgmp --without-openssl fu_cv_sys_mounted_vmount=yes \
  CC='clang --target=wasm32-wasi' AR=llvm-ar-14 RANLIB=llvm-ranlib-14 "CFLAGS=$flags" "LIBS=$libraries" >configure.log 2>&1

# What make all would do, but going on where something does not compile.
# shellcheck disable=SC2016 # of make
printf 'include Makefile\nheaders: $(BUILT_SOURCES)\nprograms:\n\t@echo $(bin_PROGRAMS)\n' >all.mk
make -s -f all.mk headers >headers.log 2>&1
sed -i 's/\(verify_NSIG_constraint *\[\).*\]/\11]/' lib/signal.h # 65 signals, of which none comes.
programs=$(make -s -f all.mk programs)
flags="$flags -include $here/missing/missing.h -idirafter $here/missing"
make -k -j2 "CFLAGS=$flags" lib/libcoreutils.a src/libver.a >library.log 2>&1 || true
clang --target=wasm32-wasi -O2 -Wall -c -o lib/missing.o "$here/missing/missing.c"
rm -f lib/libcoreutils.a
find lib -name '*.o' -exec llvm-ar-14 rcs lib/libcoreutils.a {} +
build() { make -k -j2 -o lib/libcoreutils.a "CFLAGS=$flags" LDFLAGS=-s "$@" 2>&1; }
# shellcheck disable=SC2086 # one argument for each program
build $programs >programs.log || true

: >"$target/left-out"
for program in $programs; do
  name=${program#src/}
  if [ -e "$program" ]; then
    mv "$program" "$target/$name.wasm"
  else
    reason=$(build "$program" | grep -m 1 -E 'error:' | sed -E 's/.*error: //; s/.*: (undefined symbol)/\1/')
    printf '%s\t%s\n' "$name" "$reason" >>"$target/left-out"
  fi
done
echo "GNU coreutils $(cat DEBIAN_VERSION), clang $(clang -dumpversion)" >"$target/toolchain"
