# Lesson 11: hits and stale answers against writes, by how often one looks.
name = '11-database'
wide = 960
high = 420
load 'plots/style.gp'

set logscale x
set xrange [8:13000]
set yrange [0:*]
set xtics ('10' 10, '100' 1e2, '1,000' 1e3, '10,000' 1e4)
set mxtics 10

checks = '0 100 1000 10000'
title_of(check) = check eq '0' ? 'at each get' : \
    check eq '10000' ? 'never (ttl 10 s)' : \
    check eq '100' ? 'every 100 ms' : 'every second'

set multiplot layout 1,2 title 'Who looks for changes less often hits more, '. \
    'and is wrong more' font title_font \
    margins (in_text ? 0.1 : 0.07),0.985,0.16,0.80 spacing 0.075,0.1
do for [panel in 'hits stale'] {
    set title (panel eq 'hits' ? 'answers from memory' : 'stale answers') \
        font panel_font offset 0,-0.6
    set ylabel (panel eq 'hits' ? '% of all gets' : '')
    set xlabel 'gets per write'
    if (panel eq 'stale') { set key vertical top right inside } else { unset key }
    plot for [i = 1:words(checks)] \
        rows(word(names, 1), panel.' '.word(checks, i)) using 3:4 \
        with linespoints lt i title title_of(word(checks, i))
}
unset multiplot
