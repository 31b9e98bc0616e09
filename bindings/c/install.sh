#!/usr/bin/env bash
# Builds the C library and installs it: header, shared and static library, pkg-config file.
#
#   bindings/c/install.sh [--prefix DIR] [--libdir DIR] [--includedir DIR] [--destdir DIR] [--debug]
#   bindings/c/install.sh --uninstall [--prefix DIR] ...
#
# --prefix defaults to /usr/local, the others to lib and include below it. --destdir goes in front
# of all of them, for packages. Reads CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

prefix=/usr/local libdir='' includedir='' destdir='' profile=release uninstall=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix | --libdir | --includedir | --destdir)
      [ $# -ge 2 ] || { echo "$1 needs a directory" >&2; exit 2; }
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --debug) profile=debug ;;
    --uninstall) uninstall=1 ;;
    *)
      sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]##*/}" >&2
      exit 2
      ;;
  esac
  shift
done
libdir=${libdir:-$prefix/lib}
includedir=${includedir:-$prefix/include}
for directory in "$prefix" "$libdir" "$includedir"; do
  case $directory in
    /*) ;;
    *) echo "not an absolute path: $directory" >&2; exit 2 ;;
  esac
done

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
case $(uname -s) in
  Darwin) built=libslabuf.dylib full=libslabuf.$version.dylib major=libslabuf.${version%%.*}.dylib private='' ;;
  *) built=libslabuf.so full=libslabuf.so.$version major=libslabuf.so.${version%%.*} private='-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc' ;;
esac
lib=$destdir$libdir include=$destdir$includedir

if [ -n "$uninstall" ]; then
  rm -f "$include/slabuf.h" "$lib/libslabuf.a" "$lib/$full" "$lib/$major" "$lib/$built" "$lib/pkgconfig/slabuf.pc"
  exit
fi

flags=(--release)
[ "$profile" = release ] || flags=()
cargo build --quiet -p slabuf-c ${flags[@]+"${flags[@]}"}
from=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}/$profile

install -d "$include" "$lib/pkgconfig"
install -m 644 include/slabuf.h "$include/slabuf.h"
install -m 644 "$from/libslabuf.a" "$lib/libslabuf.a"
install -m 755 "$from/$built" "$lib/$full"
ln -sf "$full" "$lib/$major"
ln -sf "$major" "$lib/$built"
sed -e "s|@prefix@|$prefix|" -e "s|@libdir@|$libdir|" -e "s|@includedir@|$includedir|" \
  -e "s|@version@|$version|" -e "s|@private@|$private|" slabuf.pc.in >"$lib/pkgconfig/slabuf.pc"
chmod 644 "$lib/pkgconfig/slabuf.pc"
echo "installed slabuf $version: $include/slabuf.h, $lib/$full, $lib/libslabuf.a, $lib/pkgconfig/slabuf.pc"
