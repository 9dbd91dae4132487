# Lesson 01: time per get against the number of entries.
name = '01-introduction-speed'
load 'plots/style.gp'

set title "The clock agrees: time per get grows with the number of entries"
set xlabel 'entries in the cache'
set ylabel 'time per get, ns'
set xrange [0:4200]
set yrange [0:*]
set xtics 0, 1024
set bmargin 4.5

plot for [label in names] rows(label, 'get') @spread \
    lt linetype_of(label) title label
