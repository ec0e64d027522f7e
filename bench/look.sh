#!/bin/sh
# Looks at a page in headless Chromium: counts its figures, reports console errors, and takes screenshots of
# it as a phone and as a desktop, light and dark, and as printed. Look at the pictures.
#
#     bench/look.sh out/report.html pictures
set -eu
page=$(realpath "$1")
mkdir -p "$2"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "look: no chromium (Debian: apt-get install chromium)" >&2
    exit 4
}
log=$2/console
: >"$log"
run() {
    "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --enable-logging=stderr "$@" "file://$page" \
        2>>"$log"
}
# A preferred colour scheme of 0 is dark, of 1 light (blink's mojom::PreferredColorScheme).
for scheme in 0-dark 1-light; do
    for size in 390,5200-phone 1280,4200-desktop; do
        run --blink-settings=preferredColorScheme="${scheme%-*}" --window-size="${size%-*}" \
            --screenshot="$2/${size#*-}-${scheme#*-}.png"
    done
done
run --print-to-pdf="$2/printed.pdf" --no-pdf-header-footer
run --dump-dom >"$2/dom.html"
figures=$(grep -o '<svg' "$2/dom.html" | wc -l)
if grep -q 'CONSOLE.*rror' "$log"; then
    grep 'CONSOLE.*rror' "$log"
    exit 1
fi
echo "$figures figures, no console error; pictures in $2"
[ "$figures" -gt 0 ]
