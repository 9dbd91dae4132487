# Lesson 12: what reaches the API, and what a get takes, against max-age.
name = '12-api'
wide = 960
load 'plots/style.gp'

set xlabel 'max-age, s'
set logscale x
set xrange [0.8:125]
set yrange [0:*]
set xtics ('1' 1, '3' 3, '10' 10, '30' 30, '100' 100)

strategies = '"no cache" "ttl" "ttl, ETag"'
who(label) = words(names) > 1 ? label.', ' : ''
line(label, i) = label eq 'yours' ? 7 + i : i

if (in_text) {
    set title 'ms per get from an API 50 ms away'
    plot for [label in names] for [i = 1:3] \
        rows(label, 'ms, '.word(strategies, i)) using 3:4 with linespoints \
        lt line(label, i) title who(label).word(strategies, i)
} else {
    set multiplot layout 1,2 title 'A ttl spares the API requests, an ETag '. \
        'makes the ones that are left cheap' font title_font \
        margins 0.07,0.985,0.13,0.83 spacing 0.09,0.1
    do for [what in 'requests ms'] {
        set title (what eq 'requests' ? 'requests per 100 gets' : \
            'mean ms per get, 50 ms and 200 kB/s away') \
            font panel_font offset 0,-0.6
        set yrange [0:(what eq 'requests' ? 119 : 179)]
        if (what eq 'requests') {
            set key bottom left
            set label 1 'with and without ETag' at 4.7, 66 left
        } else {
            unset key
            unset label 1
        }
        plot for [label in names] for [i = 1:3] \
            rows(label, what.', '.word(strategies, i)) using 3:4 \
            with linespoints lt line(label, i) \
            title who(label).word(strategies, i)
    }
    unset multiplot
}
