#!/bin/sh
# doctor.sh: what is here, what is missing, and how to get it.
set -u
list=$(dirname "$0")/packages.tsv
missing=
while IFS='	' read -r package how _ why; do
    what=${how#*:}
    case $how in
    command:*) command -v "$what" > /dev/null 2>&1 ;;
    header:*) [ -e "/usr/include/$what" ] ;;
    file:*) [ -e "$what" ] ;;
    *) continue ;;
    esac && state=here || {
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
