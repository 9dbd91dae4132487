# Lesson 12: time per get on loopback, against the size of the body.
name = '12-api-speed'
load 'plots/style.gp'

set title 'A hit takes nanoseconds, whatever its size; a 304 takes a round trip'
set xlabel 'bytes of body'
set ylabel 'µs per get'
set logscale xy
set xrange [70:1400000]
set yrange [0.005:200000]
set xtics ('100' 1e2, '1,000' 1e3, '10,000' 1e4, '100,000' 1e5, '1,000,000' 1e6)
set ytics ('0.01' 0.01, '0.1' 0.1, '1' 1, '10' 10, '100' 100, '1,000' 1000, \
    '10,000' 1e4)
unset mytics
set bmargin 4.5
set key at graph 0.02, graph 0.50

us = in_text ? 'using 3:($4/1000) with linespoints' : \
    'using 3:($4/1000):($5/1000):($6/1000) with yerrorlines'
line(label, i) = label eq 'yours' ? 7 + i : label eq 'curl' ? 4 : i

plot for [label in names] for [i = 1:(label eq 'curl' ? 1 : 3)] \
    rows(label, word('200 304 hit', i)) @us lt line(label, i) \
    title label.', '.word('200 304 hit', i)
