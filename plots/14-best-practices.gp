# Lesson 14: hits and bytes over time, while other keys become popular.
name = '14-best-practices'
high = 560
load 'plots/style.gp'

set xrange [0:200]
if (!in_text) set key bottom right
hits = "plot for [label in names] rows(label, 'hits') using ($3 / 1e3):4 ". \
    "with linespoints lt linetype_of(label) title label"

if (in_text) {
    set title 'hits per request; from 100 thousand on others are popular'
    set yrange [0:1]
    eval hits
} else {
    set multiplot layout 2,1 title 'The hits follow the hot set; the memory '. \
        'does not move' font title_font margins 0.13,0.97,0.15,0.89 \
        spacing 0.1,0.10
    set arrow 1 from 100, graph 0 to 100, graph 1 nohead lc rgb '#888888' dt 2
    set label 1 'other keys become popular' at 101.5, graph 0.12 \
        textcolor rgb '#555555'
    set yrange [0:1]
    set ylabel 'hits per request'
    unset key
    eval hits
    unset label 1
    set yrange [0:1200]
    set ytics 256
    set ylabel 'KiB'
    set xlabel 'thousand requests'
    set key bottom right
    plot for [label in names] rows(label, 'held') using ($3 / 1e3):($4 / 1024) \
        with lines lt linetype_of(label) title label.': held, all counted', \
        for [label in names] rows(label, 'entries') \
        using ($3 / 1e3):($4 / 1024) with linespoints \
        lt (label eq 'yours' ? 7 : 2) title label.': keys and values'
    unset multiplot
}
