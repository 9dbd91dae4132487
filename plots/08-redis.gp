# Lesson 08: round trips for 1,000 keys, one by one and many at once.
name = '08-redis'
load 'plots/style.gp'

set title 'Keys that travel together share one round trip'
set xlabel 'keys in each call of get\_many'
if (in_text) set xlabel 'keys in each call of get_many'
set ylabel 'round trips for 1,000 keys'
set logscale x 2
set logscale y 10
set xrange [0.8:320]
set yrange [2:3000]
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256)
set ytics (4, 10, 30, 100, 300, 1000)
if (!in_text) set key bottom left

calls = 'get_many get'
plot for [label in names] for [i = 1:words(calls)] \
    rows(label, word(calls, i)) using 3:4 with linespoints \
    lt (label eq 'yours' ? 7 : i) title label.', '.word(calls, i)
