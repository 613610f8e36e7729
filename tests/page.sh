#!/usr/bin/env bash
# Opens pages of `usher report` in a headless Chromium: wide and narrow, light and dark, and printed. Fails when a page is blank, or when
# the browser has anything to say about it: a script, an error, or something that the page wanted to fetch, which its policy forbids.
# The pictures are in target/pages, to be looked at. Installs Debian's Chromium, if it is missing; says so first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'page: %s\n' "$*" >&2; }

command -v chromium >/dev/null || packaging/require.sh 'the pages of reports' chromium fonts-dejavu-core

profile=${USHER_PROFILE:-dev}
cargo build --locked --quiet --profile "$profile" --workspace --features usher-testkit/machines --bin usher
# cargo's folder for dev is debug.
programs=target/${profile/#dev/debug}
pages=target/pages
rm -rf "$pages"
mkdir -p "$pages"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# shot NAME FILE FLAGS...: a picture of the page, and what the browser said of it in $scratch/NAME.
shot() {
	local name=$1 file=$2
	shift 2
	# Without a sandbox: as root, and in containers, Chromium starts in no other way. The pages are our own.
	timeout 120 chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions \
		--disable-background-networking --disable-component-update --disable-sync --host-resolver-rules='MAP * ~NOTFOUND' \
		--user-data-dir="$scratch/profile" --enable-logging=stderr --log-level=0 --screenshot="$PWD/$pages/$name.png" "$@" \
		"file://$file" 2>"$scratch/$name" || { cat "$scratch/$name" >&2; say "Chromium has failed on $name"; exit 1; }
}
size() { stat --format=%s "$pages/$1.png"; }

# The test of this test: a page that does what a report must not is noticed, and this is how large a blank picture is.
cat >"$scratch/bad.html" <<-'END'
	<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="default-src 'none'"><script>1</script><img src="http://a/b.png">
END
shot control "$scratch/bad.html" --window-size=1280,1600
if [ "$(grep -ac CONSOLE "$scratch/control")" -lt 2 ]; then
	say 'a page with a script and a picture from elsewhere is not noticed: this test tests nothing'
	exit 1
fi
blank=$(size control)

for name in reboot restart; do
	"$programs/usher" report "tests/tests/interface/report_page/$name.jsonl" --to "$scratch/$name.html" >/dev/null
	shot "$name-light" "$scratch/$name.html" --window-size=1280,1600 --blink-settings=preferredColorScheme=1
	shot "$name-dark" "$scratch/$name.html" --window-size=1280,1600 --blink-settings=preferredColorScheme=0
	shot "$name-narrow" "$scratch/$name.html" --window-size=500,2600 --blink-settings=preferredColorScheme=1
	for look in light dark narrow; do
		if grep -a CONSOLE "$scratch/$name-$look" >&2; then
			say "the browser has something to say about $name-$look"
			exit 1
		fi
		if [ "$(size "$name-$look")" -lt $((5 * blank)) ]; then
			say "$pages/$name-$look.png is as good as blank"
			exit 1
		fi
	done
	if cmp --silent "$pages/$name-light.png" "$pages/$name-dark.png"; then
		say "$name is the same in the dark"
		exit 1
	fi
	timeout 120 chromium --headless=new --no-sandbox --disable-gpu --no-first-run --user-data-dir="$scratch/profile" \
		--no-pdf-header-footer --print-to-pdf="$PWD/$pages/$name.pdf" "file://$scratch/$name.html" 2>/dev/null
	[ "$(stat --format=%s "$pages/$name.pdf")" -gt 20000 ] || { say "$name is not printed"; exit 1; }
done
rm "$pages/control.png"
say "look at $pages"
