# shellcheck shell=sh
# found.sh: found HOW says whether a package is here. HOW is as in packages.tsv:
# a command, a header, or a file, by a pattern.
# shellcheck disable=SC2086 # a pattern
found() {
    what=${1#*:}
    case $1 in
    command:*) command -v "$what" > /dev/null 2>&1 ;;
    header:*) [ -e "/usr/include/$what" ] || echo "#include <$what>" |
        cc -E -x c - > /dev/null 2>&1 ;;
    file:*) ls -d $what > /dev/null 2>&1 ;;
    esac
}
