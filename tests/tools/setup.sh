#!/bin/sh
# setup.sh STAMP WHO...: installs what WHO needs (third column of packages.tsv)
# and is missing, then touches STAMP. Says what it will install before it does.
set -u
stamp=$1
shift
list=$(dirname "$0")/packages.tsv

. "$(dirname "$0")/found.sh"

missing() {
    for who in all "$@"; do
        awk -F '\t' -v who="$who" '!/^#/ && index(" " $3 " ", " " who " ") {
            print $1, $2 }' "$list"
    done | sort -u | while read -r package how; do
        found "$how" || printf '%s ' "$package"
    done
}

packages=$(missing "$@")
if [ -n "$packages" ]; then
    echo "These packages are needed and not installed yet:"
    for package in $packages; do
        awk -F '\t' -v p="$package" \
            '$1 == p { printf "  %-18s %s\n", $1, $4 }' "$list"
    done
    if ! command -v apt-get > /dev/null 2>&1; then
        echo "This is no Debian or Ubuntu, so please install them yourself" \
            "(the names may differ), then run the command again." >&2
        exit 1
    fi
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    if [ -n "$as_root" ] && ! command -v sudo > /dev/null 2>&1; then
        echo "You are not root and there is no sudo. Ask an administrator to" \
            "run: apt-get install $packages" >&2
        exit 1
    fi
    install="${as_root:+$as_root }apt-get install -y --no-install-recommends"
    echo "Installing them with: $install $packages"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    options='-o DPkg::Lock::Timeout=120'
    # shellcheck disable=SC2086 # lists of words
    if ! { $as_root apt-get update $options &&
        DEBIAN_FRONTEND=noninteractive $install $options $packages; } \
        < /dev/null > "$log" 2>&1 || [ -n "$(missing "$@")" ]; then
        tail -n 3 "$log" >&2
        echo "They could not be installed. Ask an administrator to run:" \
            "apt-get install $packages" >&2
        exit 1
    fi
fi
mkdir -p "$(dirname "$stamp")" && touch "$stamp"
