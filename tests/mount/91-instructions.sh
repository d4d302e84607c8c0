#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A request costs no more instructions than tests/bench/instructions.txt records.  After a change that makes them fewer,
# or more for a good reason, the output of "tests/bench/instructions count" becomes the reference.
. "${0%/*}/functions.sh"
requires valgrind
# valgrind cannot run a program with sanitizers, and without optimisation the numbers are others.
grep -q -- ' -O2 .*-D_GNU_SOURCE' "$BUILD/flags" && ! grep -q -- '-fsanitize=' "$BUILD/flags" ||
	{ skip "all: only builds with -O2 and without sanitizers are measured"; exit 0; }

instructions=$top/tests/bench/instructions
reference=$top/tests/bench/instructions.txt
check "instructions are counted" eval '"$instructions" count "$BUILD" "$W" >counted' || exit 1
cat counted >&2

not_worse() { # [REFERENCE]
	REFERENCE=${1:-$reference} "$instructions" worse counted >found && ! grep . found >&2
}
check "no request costs more than before" not_worse
"$instructions" count "$BUILD" "$W" >again
check "the numbers are the same in two runs" awk '
	NR == FNR { first[$1, $2] = $3; next }
	$3 + 0 && ($3 > first[$1, $2] * 1.01 || $3 < first[$1, $2] / 1.01) { bad = 1 }
	END { exit bad }' counted again

awk '$3 + 0 { $3 = int($3 / 1.6) } { print }' counted >lower
check_not "a number that is worse is detected" not_worse lower
grep -v '^write vdi' counted >fewer
check_not "a request without a reference is detected" not_worse fewer
check "the numbers are not worse than themselves" not_worse counted
