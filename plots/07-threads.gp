# Lesson 07: hit ratio against the number of shards, for three capacities.
name = '07-threads'
load 'plots/style.gp'

set title 'Shards cost next to no hits, until they hold a handful of entries'
set xlabel 'shards'
set ylabel 'hits per request'
set logscale x 2
set xrange [0.8:1300]
set yrange [0:1]
set xtics ('1' 1, '4' 4, '16' 16, '64' 64, '256' 256, '1024' 1024)
set key bottom left

capacities = '16384 4096 1024'
titled(label, i) = (words(names) > 1 ? label.', ' : '').'capacity '. \
    word(capacities, i)
plot for [label in names] for [i = 1:3] rows(label, word(capacities, i)) \
    using 3:4 with linespoints lt (label eq 'yours' ? 9 : i) \
    title titled(label, i)
