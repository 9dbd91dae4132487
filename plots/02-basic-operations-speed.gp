# Lesson 02: time per operation, dict against its peers.
name = '02-basic-operations-speed'
wide = 960
high = 620
load 'plots/style.gp'

message = 'Among a million entries, dict is the fastest in all five'
set logscale xy
set xrange [700:7000000]
set xtics ('10^3' 1e3, '10^4' 1e4, '10^5' 1e5, '10^6' 1e6)
set ytics ('10' 10, '100' 100, '1000' 1000)
set yrange [8:2000]

if (in_text) {
    set title 'ns per hit'
    set xlabel 'entries'
    set xtics ('1000' 1e3, '10k' 1e4, '100k' 1e5, '1M' 1e6)
    plot for [label in names] rows(label, 'hit') @spread \
        lt linetype_of(label) title label
} else {
    set multiplot layout 2,3 title message font title_font \
        margins 0.08,0.985,0.12,0.88 spacing 0.055,0.15
    unset key
    do for [operation in 'hit miss insert update delete'] {
        set title operation font panel_font offset 0,-0.6
        set ylabel (operation eq 'hit' || operation eq 'update' ? \
            'ns per operation' : '') offset (term eq 'svg' ? 1.5 : 0.3),0
        set xlabel (operation eq 'hit' || operation eq 'miss' ? \
            '' : 'entries')
        plot for [label in names] rows(label, operation) \
            @spread lt linetype_of(label) title label
        unset label 999 # once is enough
    }
    # The sixth panel names the lines.
    unset border
    unset tics
    unset xlabel
    unset ylabel
    set title ' '
    set key center center spacing 1.8 font panel_font
    set yrange [1:2]
    set xrange [1:2]
    unset grid
    plot for [label in names] NaN with linespoints lt linetype_of(label) \
        title label
    unset multiplot
}
