# Lesson 01: instructions per get against the number of entries.
name = '01-introduction'
load 'plots/style.gp'

set title "Twice the entries, twice the work: a get walks the array"
set xlabel 'entries in the cache'
set ylabel 'instructions per get'
set xrange [0:4200]
set yrange [0:*]
set xtics 0, 1024
set format y '%.0s%c'

plot for [label in names] rows(label, 'get') using 3:4 with linespoints \
    lt linetype_of(label) title label
