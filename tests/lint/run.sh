#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# All linters of this folder and their own test; silent when all is well.
cd "$(dirname "$0")" || exit 1
status=0
for script in layering style headers; do
	python3 -B "$script.py" || status=1
done
log=$(python3 -B test_lint.py 2>&1) || { echo "$log" >&2; status=1; }
exit $status
