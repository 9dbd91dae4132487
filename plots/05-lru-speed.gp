# Lesson 05: time per request, lru against its peers.
name = '05-lru-speed'
load 'plots/style.gp'

set title 'The larger the cache, the further lru is ahead of its peers'
set xlabel 'capacity, entries'
set ylabel 'ns per request'
set logscale xy
set xrange [700:140000]
set yrange [10:2000]
set xtics ('1,000' 1e3, '10,000' 1e4, '100,000' 1e5)
set ytics ('10' 10, '30' 30, '100' 100, '300' 300, '1000' 1000)
set bmargin 4.5

plot for [label in names] rows(label, 'request') @spread \
    lt linetype_of(label) title label
