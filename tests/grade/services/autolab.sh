#!/bin/sh
# autolab.sh FILE: grades the file that a student has handed in (an archive, or
# the .c file of a lesson), and ends with the line that Autolab reads.
set -u
. ./settings
mkdir -p handed-in
case $1 in
*.c) cp "$1" handed-in ;;
*.zip | *.tar | *.tgz | *.tar.gz) ;;
*) echo "$1 is neither an archive nor a .c file"; exit 1 ;;
esac
case $1 in *.c) what=handed-in ;; *) what=$1 ;; esac
room=$(mktemp -d) && chmod 755 "$room"
make -s -C workbook grade SUBMISSION="$PWD/$what" CLASS="$room/class" \
    LESSONS="$LESSONS" ISOLATION="$ISOLATION" > "$room/log" 2>&1 || {
    cat "$room/log"
    exit 1
}
python3 workbook/tests/grade/adapt.py autolab \
    "$room/class/reports"/*/results.json
