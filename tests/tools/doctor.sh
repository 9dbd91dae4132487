#!/bin/sh
# doctor.sh: what is here, what is missing, and how to get it.
set -u
. "$(dirname "$0")/found.sh"
list=$(dirname "$0")/packages.tsv
missing=
while IFS='	' read -r package how _ why; do
    case $how in
    *:*) ;;
    *) continue ;;
    esac
    state=here
    found "$how" || {
        state=missing
        missing="$missing $package"
    }
    printf '  %-8s %-18s %s\n' "$state" "$package" "$why"
done < "$list"
echo
if [ -n "$missing" ]; then
    echo "Each command installs what it needs by itself. For all at once:"
    echo "  sudo apt-get install --no-install-recommends$missing"
else
    echo "Nothing is missing."
fi
