#!/usr/bin/env bash
# Installs the library into an empty directory and builds programs against it: through pkg-config,
# shared and static, and through a CMake project.
#
#   bindings/c/tests/install.sh [--release]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
install_flags=(--debug)
[ "${1:-}" != --release ] || install_flags=()

prefix=$(mktemp -d)/with/prefix
trap 'rm -r "${prefix%/with/prefix}"' EXIT
./install.sh --prefix "$prefix" ${install_flags[@]+"${install_flags[@]}"}
have() { command -v "$1" >/dev/null 2>&1; }
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)

if have readelf && [ "$(uname -s)" = Linux ]; then
  readelf -d "$prefix/lib/libslabuf.so.$version" | grep -q "SONAME.*\[libslabuf.so.${version%%.*}\]"
fi

if have pkg-config; then
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  [ "$(pkg-config --modversion slabuf)" = "$version" ]
  read -ra shared <<<"$(pkg-config --cflags --libs slabuf)"
  read -ra static <<<"$(pkg-config --cflags --static --libs slabuf)"
  cc=${CC:-cc}
  "$cc" -o "$prefix/shared" tests/cmake/program.c "${shared[@]}" -Wl,-rpath,"$prefix/lib"
  "$cc" -o "$prefix/static" tests/cmake/program.c "${static[@]/-lslabuf/$prefix/lib/libslabuf.a}"
  for program in shared static; do
    [ "$("$prefix/$program")" = "slabuf $version" ]
    echo "-- pkg-config, $program: ok"
  done
  if have cmake; then
    cmake -S tests/cmake -B "$prefix/build" -DCMAKE_BUILD_TYPE=Release >"$prefix/cmake.log" || { cat "$prefix/cmake.log"; exit 1; }
    cmake --build "$prefix/build" >"$prefix/cmake.log" || { cat "$prefix/cmake.log"; exit 1; }
    [ "$("$prefix/build/program")" = "slabuf $version" ]
    echo "-- CMake: ok"
  else
    echo "skipped: no cmake for tests/cmake"
  fi
else
  echo "skipped: no pkg-config for the installed programs"
fi

# A package's root: nothing outside of it is touched, and the paths in the pkg-config file are the
# final ones.
root=${prefix%/with/prefix}/root
./install.sh --prefix /opt/slabuf --destdir "$root" ${install_flags[@]+"${install_flags[@]}"}
grep -q '^libdir=/opt/slabuf/lib$' "$root/opt/slabuf/lib/pkgconfig/slabuf.pc"

./install.sh --uninstall --prefix "$prefix"
left=$(find "$prefix/lib" "$prefix/include" ! -type d)
[ -z "$left" ] || { echo "left after --uninstall: $left" >&2; exit 1; }
echo "installation: ok"
