# Lesson 02: instructions per get, lesson 01's kv against dict.
name = '02-basic-operations'
load 'plots/style.gp'

set title 'However many entries: a hash table looks in one place'
set xlabel 'entries'
set ylabel 'instructions per get'
set logscale xy
set xrange [0.8:400000]
set yrange [20:200000]
set xtics ('1' 1, '16' 16, '256' 256, '4,096' 4096, '65,536' 65536)
set ytics ('100' 100, '1,000' 1000, '10,000' 10000, '100,000' 100000)
unset mxtics
unset mytics

plot for [label in names] rows(label, 'get') using 3:4 with linespoints \
    lt linetype_of(label) title label
