# Lesson 03: mean latency of a get against the hit ratio.
name = '03-miss-handling'
load 'plots/style.gp'

set title 'The first 95 % of hits save a factor of 20, the last 5 % one of 500'
set xlabel 'hits, % of all gets'
set ylabel 'mean time per get, µs'
set logscale y
set xrange [0:101]
set yrange [0.05:2000]
set xtics 0, 10
set ytics ('0.1' 0.1, '1' 1, '10' 10, '100' 100, '1,000' 1000)
unset mytics
set key left bottom

if (!in_text) {
    set arrow from 95, 0.05 to 95, 2000 nohead lc rgb '#555555' lw 1 dt (4,4)
    set label '95 %: 50 µs' at 94, 18 right textcolor rgb '#222222'
    set label '100 %: 0.1 µs' at 94, 0.1 right textcolor rgb '#222222'
    set label '0 %: 1,000 µs, each get is a load' at 3, 1400 \
        textcolor rgb '#222222'
}

plot for [label in names] rows(label, 'mean') using ($3 / 10):4 \
    with linespoints lt linetype_of(label) title label
