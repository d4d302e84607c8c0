#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every fuzz target builds, reads all images of mkimage as seeds, and runs for some seconds.
. "${0%/*}/functions.sh"
requires clang

case $BUILD in
*/san-*) skip "all: the targets have sanitizers of their own, whatever the build"; exit 0 ;;
esac

# The targets report errors by themselves, without the options of this run.
unset MAKEFLAGS MAKELEVEL ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS TSAN_OPTIONS
cd "$top" || exit 1
nice tests/fuzz/run make "${FUZZ_SECONDS:-2}"
status=$?
check "fuzz targets are clean" [ $status = 0 ]
