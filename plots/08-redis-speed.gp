# Lesson 08: keys per second against depth, on a unix socket and over TCP.
name = '08-redis-speed'
wide = 960
high = 460
load 'plots/style.gp'

set xlabel 'commands that travel together'
set ylabel 'thousand keys per second'
set logscale x 2
set xrange [0.8:320]
set yrange [0:*]
set xtics (1, 4, 16, 64, 256)

if (in_text) {
    set title 'thousand keys per second, unix socket'
    plot for [label in names] rows(label, 'unix') @spread \
        lt linetype_of(label) title label
} else {
    set multiplot layout 1,2 title 'Commands that travel together pay for '. \
        'the trip together' font title_font margins 0.095,0.985,0.20,0.83 \
        spacing 0.07,0.1
    do for [how in 'unix tcp'] {
        if (how eq 'tcp') { set ylabel '' }
        set title (how eq 'unix' ? 'unix socket' : 'TCP, within one machine') \
            font panel_font offset 0,-0.6
        if (how eq 'unix') { set key } else { unset key }
        plot for [label in names] rows(label, how) @spread \
            lt linetype_of(label) title label
    }
    unset multiplot
}
