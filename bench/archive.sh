#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Packs the self-contained archives (the build profile "dist" calls this, with JAVA_HOME set):
#
#   bench/archive.sh BUILD VERSION          both archives
#   bench/archive.sh BUILD VERSION folder   only the folder of the first one, BUILD/dist/dvl-VERSION-linux-x86_64
#
#   BUILD/dvl-VERSION-linux-x86_64.tar.xz        launcher, Java runtime, jars with kernels, natives and emulated device, demo model
#   BUILD/dvl-VERSION-linux-x86_64-tests.tar.xz  the same folder's test classes and JUnit's console launcher (./dvl-tests)
#
# Test data stays out: the tests read it from a checkout.
set -eu

build=$(cd "$1" && pwd)
version=$2
name=dvl-$version-linux-x86_64
stage=$build/dist/$name
here=$(cd "$(dirname "$0")/.." && pwd)
limit=62914560 # 60 MB

rm -rf "$stage"
mkdir -p "$stage/lib"

# What the application needs: ImageIO is in java.desktop; everything else beyond java.base is for tools and programs built on it.
# Uncompressed modules make a larger folder and a smaller archive; an archive of loaded classes starts faster. Not every JDK has a jmods
# folder: jlink then links from the image that it runs in.
modules=java.base,java.desktop,java.logging,java.net.http,jdk.httpserver,jdk.jfr,jdk.management,jdk.unsupported
"$JAVA_HOME/bin/jlink" --add-modules $modules --strip-debug --no-header-files --no-man-pages --compress zip-0 \
  --generate-cds-archive --output "$stage/runtime"

# Jars without compression of their own: the archive's is better. JCuda's compiler of PTX, two thirds of its natives, is never loaded here.
for jar in "$build"/diffusionvl-"$version".jar "$build"/diffusionvl-"$version"-cli.jar "$build"/lib/*.jar; do
  unpacked=$build/dist/unpacked
  rm -rf "$unpacked"
  mkdir -p "$unpacked"
  (cd "$unpacked" && "$JAVA_HOME/bin/jar" --extract --file "$jar")
  rm -f "$unpacked"/lib/libJNvPTXCompiler-*
  manifest=
  if [ -f "$unpacked/META-INF/MANIFEST.MF" ]; then
    mv "$unpacked/META-INF/MANIFEST.MF" "$build/dist/MANIFEST.MF"
    manifest="--manifest $build/dist/MANIFEST.MF"
  fi
  # shellcheck disable=SC2086 # two words or none
  "$JAVA_HOME/bin/jar" --create --no-compress --file "$stage/lib/${jar##*/}" $manifest -C "$unpacked" .
done
rm -rf "$unpacked" "$build/dist/MANIFEST.MF"
cp "$here/LICENSE" "$here/NOTICE" "$stage/"
cp "$here/bench/archive.md" "$stage/README.md"
mkdir -p "$stage/samples/models"
cp -R "$here/samples/images" "$stage/samples/images"
cp -R "$here/samples/models/diffusionvl-tiny" "$stage/samples/models/diffusionvl-tiny"
cp "$here/bench/dvl" "$stage/dvl"
cp "$here/bench/dvl-tests" "$stage/dvl-tests"
chmod 755 "$stage/dvl" "$stage/dvl-tests"
git -C "$here" describe --always --dirty --abbrev=12 > "$stage/commit" 2> /dev/null || echo unknown > "$stage/commit"
if [ "${3:-}" = folder ]; then exit 0; fi

mkdir -p "$stage/tests/lib"
cp "$build"/dist/junit/*.jar "$stage/tests/lib/"
cp -R "$build/test-classes" "$stage/tests/classes"
cd "$stage/tests/classes"
rm -rf golden pillow qwen2.5 # read from the checkout
rm -rf dvl/native/emulated-check dvl/native/kernels/emulated-check dvl/native/stub dvl/native/kernels/stub # of no use on a GPU
cd - > /dev/null

pack() { # archive, paths
  archive=$1
  shift
  tar -C "$build/dist" --sort=name --owner=0 --group=0 --numeric-owner -c "$@" | xz -T0 -6 > "$archive.part"
  mv "$archive.part" "$archive"
  echo "$(wc -c < "$archive") bytes: $archive"
}
pack "$build/$name.tar.xz" --exclude="$name/tests" --exclude="$name/dvl-tests" "$name"
pack "$build/$name-tests.tar.xz" "$name/tests" "$name/dvl-tests"
if [ "$(wc -c < "$build/$name.tar.xz")" -gt $limit ]; then
  echo "$name.tar.xz is larger than $limit bytes" >&2
  exit 1
fi
