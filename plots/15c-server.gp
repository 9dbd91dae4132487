# Lesson 15c: reads and writes of sockets for 1,000 gets, against depth.
name = '15c-server'
load 'plots/style.gp'

set title 'A batch costs one read and one write, whatever is in it'
set xlabel 'gets that travel together'
set ylabel 'reads and writes for 1,000 gets'
set logscale x 2
set logscale y 10
set xrange [0.8:320]
set yrange [4:4000]
set xtics (1, 4, 16, 64, 256)
set ytics ('10' 10, '100' 100, '1,000' 1e3)
if (!in_text) set key bottom left

plot for [label in names] rows(label, 'calls') \
    using 3:4 with linespoints lt linetype_of(label) title label, \
    1000 / x + 1000 with lines lt 5 \
        title 'a write for each answer (reckoned)'
