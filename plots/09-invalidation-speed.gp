# Lesson 09: time per hit, versioned against a bare dict.
name = '09-invalidation-speed'
load 'plots/style.gp'

set title 'A versioned hit makes as many trips to memory as one of a bare dict'
set xlabel 'keys held'
set ylabel 'ns per hit'
set logscale x
set xrange [700:140000]
set yrange [0:*]
set xtics ('1,000' 1e3, '10,000' 1e4, '100,000' 1e5)
set bmargin 4.5

plot for [label in names] rows(label, 'hit') @spread \
    lt linetype_of(label) title label
