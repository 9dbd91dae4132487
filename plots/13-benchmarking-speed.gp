# Lesson 13: the slide's table, in C and in Python.
name = '13-benchmarking-speed'
wide = 860
load 'plots/style.gp'

set logscale xy
set xrange [70:15000]
set yrange [5:400000]
set xtics ('100' 100, '1,000' 1e3, '10,000' 1e4)
set ytics ('10' 10, '100' 100, '1k' 1e3, '10k' 1e4, '100k' 1e5)

set multiplot layout 1,2 title "Most of what the slide's program times is its ". \
    'own work' font title_font margins 0.09,0.985,0.17,0.82 spacing 0.07,0.1
do for [operation in 'set get'] {
    set title operation font panel_font offset 0,-0.6
    set xlabel 'cache size, entries'
    set ylabel (operation eq 'set' ? 'ns per operation' : '')
    if (operation eq 'get') { set key inside top left vertical } else { unset key }
    plot for [label in names] rows(label, operation) @spread \
        lt linetype_of(label) title label
}
unset multiplot
