# Lesson 15c: requests per second and 99th percentiles against depth, beside
# redis-server and memcached, all with one thread.
name = '15c-server-speed'
wide = 960
high = 460
load 'plots/style.gp'

set xlabel 'gets that travel together, on each of 50 connections'
set logscale x 4
set xrange [0.8:80]
set xtics (1, 4, 16, 64)

if (in_text) {
    set title 'thousand gets per second'
    set yrange [0:*]
    plot for [label in names] rows(label, 'get') @spread \
        lt linetype_of(label) title label
} else {
    set multiplot layout 1,2 title 'A server that writes all answers of '. \
        'a batch at once gains most by batches' font title_font \
        margins 0.095,0.985,0.20,0.83 spacing 0.09,0.1
    set yrange [0:*]
    set title 'thousand gets per second' font panel_font offset 0,-0.6
    plot for [label in names] rows(label, 'get') @spread \
        lt linetype_of(label) title label
    set title '99th percentile of a batch, in ms' font panel_font offset 0,-0.6
    unset key
    plot for [label in names] rows(label, 'get-p99') \
        using 3:($4 / 1000):($5 / 1000):($6 / 1000) with yerrorlines \
        lt linetype_of(label) title label
    unset multiplot
}
