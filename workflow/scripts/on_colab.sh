#!/bin/bash
# Runs each page in /chapters by itself, in an empty folder, with the Python of Colab's image, and
# checks that numpy and torch are still the ones of the image.
set -euo pipefail

# What only the flow runs is no page of its own.
pages=$(find /chapters -name '*.ipynb' ! -name '*_point.ipynb' ! -name 06_segment.ipynb \
    ! -name overview.ipynb | sort)

there() {
    python3 -c 'from importlib.metadata import version as v; print(v("numpy"), v("torch"))'
}

before=$(there)
cd "$(mktemp -d)"
failed=0
for page in $pages; do
    echo "::group::$page"
    cp "$page" .
    jupyter nbconvert --to notebook --execute --inplace "$(basename "$page")" || failed=1
    echo "::endgroup::"
done
test "$before" = "$(there)" || { echo "numpy and torch were $before, and are $(there)"; exit 1; }
exit "$failed"
