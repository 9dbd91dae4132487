# Lesson 13: one source that stalls, seen from three points of view.
name = '13-benchmarking'
load 'plots/style.gp'

set title 'Who waits for an answer before he asks again hardly sees the stalls'
set xlabel 'one request in n takes as long, or longer'
set ylabel 'milliseconds'
set logscale xy
set xrange [1.8:130000]
set yrange [0.05:3000]
if (!in_text) set key at 8000,60 right
set xtics ('2' 2, '10' 10, '100' 100, '1,000' 1e3, '10,000' 1e4, \
    '100,000' 1e5)
set ytics ('0.1' 0.1, '1' 1, '10' 10, '100' 100, '1,000' 1000)

views = '"open loop, from when due" "open loop, from the send" "closed loop"'
draw = "plot for [i = 1:words(views)] rows('bench', word(views, i)) ". \
    "using 3:4 with linespoints lt i title word(views, i)"
if (strstrt(names, 'yours')) draw = draw.", rows('yours', word(views, 1)) ". \
    "using 3:4 with linespoints lt 7 title 'yours'"
eval draw
