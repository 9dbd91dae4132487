# Lesson 10: time per get, by level, and on average against level 1's size.
name = '10-layers-speed'
load 'plots/style.gp'

set title 'Who misses level 1 pays for level 2: a larger level 1 lowers the mean'
set xlabel 'entries in level 1 (popular keys, 20,000 of them, all in Redis)'
set ylabel 'µs per get'
set logscale xy
set xrange [8:30000]
set yrange [0.01:4000]
set xtics ('10' 10, '100' 100, '1,000' 1e3, '5,000' 5e3, '20,000' 2e4)
set ytics ('0.01' 0.01, '0.1' 0.1, '1' 1, '10' 10, '100' 100, '1,000' 1e3)
set key at graph 0.02, graph 0.42 left top
if (in_text) set key tmargin center horizontal
set bmargin 4.5

# The median of one kind of hit, in µs, as a level line.
level(operation) = real(system("awk -F'\\t' '$1 == \"layers\" && $2 == \"". \
    operation."\" && ($3 == 1000 || $3 == 20000) { print $4 / 1000; exit }' '". \
    data."'"))

mine = strstrt(names, 'yours') ? 'layers yours' : 'layers'
title_of(label) = label eq 'yours' ? 'yours: mean' : 'mean of all gets'

plot level('source') with lines lt 5 title 'the source answers (1 ms)', \
    level('L2 hit') with lines lt 2 title 'level 2, Redis, answers', \
    for [label in mine] rows(label, 'mean') \
        using 3:($4 / 1000):($5 / 1000):($6 / 1000) with yerrorlines \
        lt (label eq 'yours' ? 7 : 1) title title_of(label), \
    level('L1 hit') with lines lt 3 title 'level 1, an lru, answers'
