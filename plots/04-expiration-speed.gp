# Lesson 04: time of a hit, ttl against the bare dict.
name = '04-expiration-speed'
wide = 960
high = 450
load 'plots/style.gp'

set logscale xy
set xrange [700:1400000]
set yrange [8:1000]
set xtics ('1k' 1e3, '10k' 1e4, '100k' 1e5, '1M' 1e6)
set ytics ('10' 10, '30' 30, '100' 100, '300' 300, '1000' 1000)
set xlabel 'entries'

# The dict is what everybody is compared with.
kind(label) = label eq 'dict' ? 2 : label eq 'ttl' ? 1 : \
    linetype_of(label)
title_of(w) = w eq 'hit' ? 'nothing is due' : \
    w eq 'hit,some-due' ? 'an unswept entry is due' : 'with a real clock'

if (in_text) {
    set title 'ns per hit, nothing due'
    plot for [label in names] rows(label, 'hit') @spread \
        lt kind(label) title label
} else {
    set multiplot layout 1,3 title 'While nothing is due, a hit costs little '. \
        'more than one of the bare dict' font ',17' \
        margins 0.07,0.985,0.22,0.80 spacing 0.05,0.1
    do for [operation in 'hit hit,some-due hit,real-clock'] {
        set title title_of(operation) offset 0,-0.6
        set ylabel (operation eq 'hit' ? 'ns per hit' : '')
        plot for [label in names] rows(label, operation) @spread \
            lt kind(label) title label
    }
    unset multiplot
}
