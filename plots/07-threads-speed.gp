# Lesson 07: calls per second against threads; dashed, a fitted law.
name = '07-threads-speed'
wide = 960
high = 460
load 'plots/style.gp'

set xlabel 'threads'
set ylabel 'million calls per second'
set xrange [0.5:16.5]
set yrange [0:*]
set xtics 1, 1
if (!in_text) set key top right
if (!in_text) set offsets 0, 0, graph 0.6, 0

# The Universal Scalability Law (Gunther): a is the rate of one thread, b the
# share that must wait in line, c the price of agreeing with every other one.
usl(n, a, b, c) = a * n / (1 + b * (n - 1) + c * n * (n - 1))
array A[10]; array Bs[10]; array Cs[10]
set fit quiet logfile '/dev/null'
fitted(i, x) = usl(x, A[i], Bs[i], Cs[i])

plain = 'shared mutex rwlock'
if (in_text) {
    set title 'calls per second (million), 95 % reads'
    set xrange [0.5:8.5]
    plot for [label in names] rows(label, 'reads95') @spread \
        lt linetype_of(label) title label
} else {
    set multiplot layout 1,2 title 'What threads share has to travel '. \
        'between processors' font ',17' margins 0.07,0.985,0.20,0.83 \
        spacing 0.07,0.1
    do for [operation in 'reads95 reads50'] {
        set title (operation eq 'reads95' ? '95 % reads' : '50 % reads') \
            offset 0,-0.6
        if (operation eq 'reads95') { set key } else { unset key }
        do for [i = 1:words(plain)] {
            a = 5.0; sb = 0.5; sc = 0.05
            fit [1:8] usl(x, a, sb * sb, sc * sc) \
                rows(word(plain, i), operation) using 3:4 via a, sb, sc
            A[i] = a; Bs[i] = sb * sb; Cs[i] = sc * sc
        }
        plot for [label in names] rows(label, operation) @spread \
            lt linetype_of(label) title label, \
            for [i = 1:words(plain)] [1:16] fitted(i, x) with lines \
            lt linetype_of(word(plain, i)) lw 1 dt (3,4) \
            title (i == 1 ? 'fit: Universal Scalability Law' : '')
    }
    unset multiplot
}
