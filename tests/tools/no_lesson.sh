#!/bin/sh
# no_lesson.sh ASKED FOUND LESSONS: why there is no such lesson, in one line.
if [ -n "$2" ]; then
    echo "Lesson $2 is planned, but not written yet." >&2
else
    last=${3##* } && last=${last%%[!0-9]*}
    echo "There is no lesson '$1': they go from 1 to $last" \
        "(make shows them all)." >&2
fi
exit 2
