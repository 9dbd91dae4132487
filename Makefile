# make            where you stand and what comes next
# make lesson-1   build and test your lesson 1
# make help       every command

# -- the course: the lessons, the module each builds, and on whom it builds --
lessons := 01-introduction 02-basic-operations 03-miss-handling \
    04-expiration 05-lru 06-memoization 07-threads 08-redis \
    09-invalidation 10-layers 11-database 12-api 13-benchmarking \
    14-best-practices 15a-policy 15b-cluster 15c-server

module-01-introduction := kv
module-02-basic-operations := dict
module-03-miss-handling := readthrough
module-04-expiration := ttl
module-05-lru := lru
module-06-memoization := memo
module-07-threads := shared
module-08-redis := redis_cache
module-09-invalidation := versioned
module-10-layers := layers
module-11-database := query_cache
module-12-api := http_cache
module-13-benchmarking := bench
module-14-best-practices := cache
module-15a-policy := policy
module-15b-cluster := cluster
module-15c-server := server

needs-03-miss-handling := 02-basic-operations
needs-04-expiration := 02-basic-operations
needs-05-lru := 02-basic-operations
needs-06-memoization := 05-lru
needs-07-threads := 05-lru
needs-09-invalidation := 02-basic-operations
needs-10-layers := 02-basic-operations 05-lru 08-redis
needs-11-database := 04-expiration
needs-12-api := 04-expiration
needs-13-benchmarking := 02-basic-operations 05-lru
needs-15c-server := 14-best-practices

libs-02-basic-operations := -lxxhash
libs-05-lru := -lxxhash
libs-06-memoization := -lgmp
libs-08-redis := -lhiredis
libs-09-invalidation := -lhiredis
libs-11-database := -lsqlite3 -lpq
libs-12-api := -lcurl -ljansson
libs-13-benchmarking := -lm
libs-14-best-practices := -lxxhash -ljansson -lm
libs-15b-cluster := -lhiredis
libs-leftovers := -lpq

# Code that a lesson is given beside its header (lessons/LESSON/NAME.c).
given-11-database := db_sqlite db_postgres
given-15c-server := parts_calls parts_commands parts_listener
# What of it the grader keeps out of the cage: students get at it by functions.
outside-11-database := db_sqlite db_postgres
# Its headers whose types the lesson's own one uses.
types-11-database := db

# The databases besides its own on which a lesson is proved: make ... DB=NAME.
databases-11-database := postgres
ifneq ($(filter-out sqlite postgres,$(DB)),)
$(error DB=$(DB)? There are sqlite, the default, and postgres)
endif

# What a lesson's tests start (tests/support/NAME.c), and its own libraries.
fixtures-08-redis := redis
fixtures-09-invalidation := redis
fixtures-10-layers := redis
fixtures-11-database := postgres
fixtures-12-api := http
fixtures-15b-cluster := cluster redis script
fixtures-15c-server := redis
fixtures-leftovers := http postgres redis script
fixture-libs-http := -lmicrohttpd

# What a lesson's tests watch beside the heap (tests/support/NAME.c), and the
# functions that the linker sends through it.
watched-07-threads := moments
watched-12-api := libraries
watched-14-best-practices := moments libraries
wrapped-heap := malloc calloc realloc free aligned_alloc strdup strndup
wrapped-moments := pthread_mutex_lock pthread_mutex_trylock \
    pthread_mutex_unlock pthread_cond_wait pthread_cond_timedwait \
    pthread_spin_lock pthread_spin_trylock pthread_spin_unlock

# What a bench has beside its own program: peers in C++ (plots/NAME.cc).
peers-14-best-practices := 14-absl
peer-libs-14-best-practices = $(shell pkg-config --libs absl_flat_hash_map) -lstdc++

# How many seconds a lesson's tests may take, if that is more than others'. (With
# a database of its own each may take longer: that must start first.)
seconds-15b-cluster := 60
seconds-15c-server := 20

# What is proved of a lesson beside what is proved of all.
proofs-15c-server := lesson-8 program fuzz

# Debian packages, each with the reason in tests/tools/packages.tsv
threaded := 07-threads 14-best-practices 15c-server
# Who hands things from thread to thread by epoll: ThreadSanitizer knows that
# what was written before is seen behind it, Helgrind does not.
uses-epoll := 15c-server

# What make grade knows.
gradable = $(present)
# The lessons whose tests make so many calls that a message for each is too
# much: they make fewer, as under Valgrind.
talkative := 11-database 13-benchmarking 14-best-practices 15a-policy 15c-server
# The lessons whose tests turn the machine's clocks, in another process too.
clocked := 07-threads 13-benchmarking
# The lessons that their tests call from several threads.
called-by-threads = $(threaded) 15b-cluster

# -- tools and flags ----------------------------------------------------------
ifeq ($(origin CC),default)
CC := gcc
endif
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifneq ($(filter test test-% check signatures signatures-% book book-pdf book-test,$(MAKECMDGOALS)),)
# One more than there are processors: some tests wait for servers.
MAKEFLAGS += -j$(shell expr $$(nproc) + 1)
endif
.DEFAULT_GOAL := dashboard
.DELETE_ON_ERROR:
.SECONDARY:
.SECONDEXPANSION:
Q := $(if $(V),,@)
ifneq ($(shell mkdir -p build 2>&1 && test -w build && echo yes),yes)
$(error This folder cannot be written to. Copy the workbook to one of your own and type make there)
endif

STD := -std=c17
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wvla \
    -Werror=implicit-function-declaration
INCLUDE := -Ilessons -Itests $(patsubst %/,-I%,$(wildcard lessons/[01]*/))

# Where things are built: the compiler and the mode are part of the path, so
# that changing them never leaves anything stale.
#   check  Criterion, a process for each test       plain  one process, for
#   asan   plain, with Address- and UBSan                  Valgrind
#   tsan   plain, with ThreadSanitizer              fast   -O2, for benches
#   grade  a process for each test, without Criterion: for mutants, the grader
#   fuzz   with libFuzzer, which only clang has
B := build/$(notdir $(CC))
tools := sh tests/tools
flags-check := -O1 -gdwarf-4 -fno-omit-frame-pointer
flags-plain := -O1 -gdwarf-4 -fno-omit-frame-pointer -DPLAIN_RUNNER
flags-asan := -O1 -g -fno-omit-frame-pointer -DPLAIN_RUNNER \
    -fsanitize=address,undefined -fno-sanitize-recover=all
flags-tsan := -O1 -g -fno-omit-frame-pointer -DPLAIN_RUNNER -fsanitize=thread
flags-fast := -O2 -g -fPIC
flags-grade := -O1 -gdwarf-4 -fno-omit-frame-pointer -DFORK_RUNNER
flags-fuzz := -O1 -g -fno-omit-frame-pointer \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
modes := check plain asan tsan fast grade fuzz

# A lesson's own code: strict C17, and a counter in every basic block.
own = $(or $(filter lessons/% solutions/% build/mutants/%,$1),\
    $(findstring /alternates/,$1),$(findstring /stub/,$1))
code-flags = -D_POSIX_C_SOURCE=200809L -Wconversion -Wno-unused-parameter \
    $(if $(filter fast fuzz,$1),,-fsanitize-coverage=trace-pc)
test-flags := -D_GNU_SOURCE

empty :=
comma := ,
space := $(empty) $(empty)
wrap-of = $(foreach w,$1,$(wrapped-$w:%=-Wl$(comma)--wrap=%))
wrap = $(call wrap-of,heap $(watched-$1))
support := check crash heap model work

# -- which lesson is meant: 5, 05, lru and 05-lru are the same ------------------
number = $(firstword $(subst -, ,$1))
short = $(patsubst 0%,%,$(call number,$1))
names = $1 $(call number,$1) $(call short,$1) $(module-$1) \
    $(patsubst $(call number,$1)-%,%,$1)
find = $(firstword $(foreach l,$(lessons),$(if $(filter $1,$(call names,$l)),$l)))
present := $(foreach l,$(lessons),$(if $(wildcard lessons/$l/*.h),$l))
lesson = $(filter $(present),$(call find,$*))
# The files that a student writes: those of which there is a stub.
files = $(basename $(notdir $(wildcard tests/$1/stub/*.c)))
sources = $(patsubst %,lessons/$1/%.c,$(call files,$1))
below = $(sort $(foreach n,$(needs-$1),$n $(call below,$n)))
libs = $(sort $(foreach l,$1 $(call below,$1),$(libs-$l)))
fixtures = $(sort $(fixtures-$1) $(if $(fixtures-$1),process))
fixture-libs = $(sort $(foreach f,$(fixtures-$1),$(fixture-libs-$f)))
# A command on a lesson that is not there ends in one clear line.
check-lesson = $(if $(call lesson),,@sh tests/tools/no_lesson.sh '$*' \
    '$(call find,$*)' '$(lessons)')

# -- building -----------------------------------------------------------------
# Everything but a student's file must compile without a warning.
strict = $(if $(filter lessons/%,$<),,-Werror)
cc = $1 $(STD) $(WARN) $(strict) $(flags-$2) $(INCLUDE) \
    $(if $(call own,$<),$(call code-flags,$2),$(test-flags)) -MMD -MP -c $< -o $@
define compile
build/$1/$2/%.o: %.c | build/packages/tests
	@mkdir -p $$(@D)
	$$Q$$(call cc,$1,$2)
# In a handout the solutions are there as objects only.
build/$1/$2/solutions/%.o: solutions/%.$2.o
	@mkdir -p $$(@D) && cp $$< $$@
endef

# A test program: build/gcc/MODE/run/LESSON/WHICH, where WHICH is lesson (the
# student's), mine, solution, stub, mutants/NAME or alternates/NAME.
run-lesson = $(firstword $(subst /, ,$1))
which = $(patsubst $(call run-lesson,$1)/%,%,$1)
# The objects of one implementation: build folder, lesson, which. An alternate is
# always one file; a mutant is one, beside what the solution has of others.
implementations = $(patsubst %/plain,%/check,$(1:%/grade=%/check))
mutated = $(patsubst b/%.c,%,$(filter b/%.c,$(file <tests/$1/mutants/$2.patch)))
own-files = $(strip \
    $(if $(filter solution,$2),$(patsubst %,solutions/$1/%,$(call files,$1)),\
    $(if $(filter lesson mine,$2),$(patsubst %,lessons/$1/%,$(call files,$1)),\
    $(if $(filter stub,$2),$(patsubst %,tests/$1/stub/%,$(call files,$1)),\
    $(if $(filter mutants/%,$2),build/mutants/$1/$(notdir $2) $(patsubst %,solutions/$1/%,\
        $(filter-out $(call mutated,$1,$(notdir $2)),$(call files,$1))),\
    tests/$1/$2)))))
objects = $(patsubst %,$(call implementations,$1)/%.o,$(call own-files,$2,$3))
below-which = $(if $(filter mine,$1),lesson,solution)
given = $(foreach g,$(given-$2),$(call implementations,$1)/lessons/$2/$g.o)
code-objects = $(call objects,$1,$2,$3) $(call given,$1,$2) \
    $(foreach l,$(call below,$2),\
    $(call objects,$1,$l,$(call below-which,$3)) $(call given,$1,$l))
runner = $(if $(filter %/check,$1),runner_criterion guard report,\
    $(if $(filter %/grade,$1),runner_fork report,runner_plain))
parts = $(call code-objects,$1,$(call run-lesson,$2),$(call which,$2)) \
    $1/tests/$(call run-lesson,$2)/test.o \
    $(patsubst %,$1/tests/support/%.o,$(support) \
    $(watched-$(call run-lesson,$2)) $(call fixtures,$(call run-lesson,$2)) \
    $(call runner,$1))
define program
build/$1/$2/run/%: $$$$(call parts,build/$1/$2,$$$$*)
	@mkdir -p $$(@D)
	$$Q$1 $(flags-$2) $$(call wrap,$$(call run-lesson,$$*)) $$^ -o $$@ \
	    $$(call libs,$$(call run-lesson,$$*)) \
	    $$(call fixture-libs,$$(call run-lesson,$$*)) $(if $(filter check,$2),-lcriterion) -pthread
endef

compilers := $(sort $(notdir $(CC)) gcc clang)
$(foreach c,$(compilers),$(foreach m,$(modes),$(eval $(call compile,$c,$m))))
$(foreach c,$(compilers),$(foreach m,check plain asan tsan grade,\
    $(eval $(call program,$c,$m))))

# A lesson as a shared object, for the benches; and a bench.
$B/fast/so/%.so: $$(call code-objects,$B/fast,$$(call run-lesson,$$*),$$(call which,$$*)) $B/fast/lessons/common/todo.o
	@mkdir -p $(@D)
	$Q$(CC) -shared -Wl,-Bsymbolic $^ -o $@ $(call libs,$(call run-lesson,$*)) -pthread

GLIB = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags glib-2.0))
$B/fast/plots/%.o: plots/%.c | build/packages/bench
	@mkdir -p $(@D)
	$Q$(call cc,$(CC),fast) $(GLIB)
$B/fast/plots/15c-server.o: | build/packages/memcached
# A peer in C++; nothing of the workbook's own is.
$B/fast/plots/%.o: plots/%.cc | build/packages/absl
	@mkdir -p $(@D)
	$Qg++ -O2 -g -fPIC -Wall -Wextra -MMD -MP -c $< -o $@
# A bench and a demo may start the servers that the tests start. A bench
# measures with lesson 13's bench.
server-objects = $(patsubst %,$B/fast/tests/support/%.o,$(if $(fixtures-$1),alone) $(call fixtures,$1))
bench-objects = $B/fast/plots/$1.o $B/fast/plots/measure.o \
    $(peers-$1:%=$B/fast/plots/%.o) \
    $B/fast/solutions/13-benchmarking/bench.o $(call server-objects,$1)
$B/fast/bench/%: $$(call bench-objects,$$*)
	@mkdir -p $(@D)
	$Q$(CC) -rdynamic $^ -o $@ $(call libs,$*) $(call fixture-libs,$*) -lglib-2.0 -lxxhash -lz -ldl -lm -pthread $(peer-libs-$*)

# The student's file gets a page of its own when it does not compile.
$B/check/lessons/%.o: lessons/%.c | build/packages/tests
	@mkdir -p $(@D)
	$Q$(call cc,$(CC),check) 2> $@.log || { $(tools)/compile_error.sh $< $@.log; exit 1; }

lessons/%.c:
	@echo "$@ is gone. make reset-$(call short,$(word 2,$(subst /, ,$@))) FILE=$(*F) puts the stub back." >&2; exit 1

# A mutant is the solution with one misconception patched in.
build/mutants/%.c: tests/$$(*D)/mutants/$$(*F).patch solutions/$$(*D)/$$(call mutated,$$(*D),$$(*F)).c
	@mkdir -p $(@D)
	@patch -s -o $@ $(word 2,$^) $<

# A demo is the slide's program on the student's code, or on the solution.
$B/fast/demo/%: $$(call code-objects,$B/fast,$$(call run-lesson,$$*),$$(call which,$$*)) \
    $B/fast/lessons/$$(call run-lesson,$$*)/demo.o $B/fast/lessons/common/todo.o \
    $$(call server-objects,$$(call run-lesson,$$*))
	@mkdir -p $(@D)
	$Q$(CC) $^ -o $@ $(call libs,$(call run-lesson,$*)) $(call fixture-libs,$(call run-lesson,$*)) -pthread

# Lesson 15c's server as a program, and its parser fed by a fuzzer.
$B/fast/cache-server/%: $$(call code-objects,$B/fast,15c-server,$$*) \
    $B/fast/lessons/15c-server/cache-server.o $B/fast/lessons/common/todo.o
	@mkdir -p $(@D)
	$Q$(CC) $^ -o $@ $(call libs,15c-server) -pthread

build/clang/fuzz/run/%: $$(call code-objects,build/clang/fuzz,$$(call run-lesson,$$*),$$(call which,$$*)) \
    build/clang/fuzz/tests/$$(call run-lesson,$$*)/fuzz.o build/clang/fuzz/lessons/common/todo.o
	@mkdir -p $(@D)
	$Qclang -fsanitize=fuzzer,address,undefined $^ -o $@ $(call libs,$(call run-lesson,$*)) -pthread

# -- packages: each stamp says that what its users need was found ---------------
# Named here, so that make takes them for ordinary files in pattern rules.
$(addprefix build/packages/,tests bench absl memcached plot proof grade book pictures):
build/packages/%: tests/tools/packages.tsv
	@sh tests/tools/setup.sh $@ $(subst +, ,$*)

# -- commands for students; N is 5, 05, lru or 05-lru ---------------------------
lesson-program = $(if $(call lesson),$B/$1/run/$(call lesson)/$(if $(MINE),mine,lesson))
needs = $(if $(call lesson),build/packages/tests+$(call lesson)$(if $(DB),+$(DB)) $(1:%=build/packages/%))
export ALL_LESSONS := $(lessons)
export PRESENT := $(present)
export MAKE

# Lesson 15 is three exercises: what is asked of it is asked of each, but for
# the demo, which is one.
exercises := 15a 15b 15c
of-three := lesson solution valgrind race bench cost plot diff reset test
.PHONY: $(of-three:%=%-15)
$(of-three:%=%-15): %-15: $(exercises:%=\%-%) ;

dashboard: ## where you stand and what comes next
	@$(tools)/dashboard.sh

lesson-%: $$(needs) $$(call lesson-program,check) .force ## test your lesson, and say what to do next
	$(check-lesson)
	@$(tools)/lesson.sh $(lesson) $(call short,$(lesson)) '$(call sources,$(lesson))' $(call lesson-program,check) \
	    $(call lesson-program,plain) '$(if $(filter $(threaded),$(lesson)),$(call lesson-program,tsan))' \
	    $(or $(seconds-$(lesson)),$(if $(DB),20,4.5))

solution-%: $$(needs) $$(if $$(call lesson),$B/check/run/$$(call lesson)/solution) .force ## run the tests on the reference solution
	$(check-lesson)
	@$B/check/run/$(lesson)/solution

watch-%: $$(call needs,watch) .force ## test again whenever you save
	$(check-lesson)
	@printf '%s\n' $(call sources,$(lesson)) | entr -c $(MAKE) -s lesson-$(call short,$(lesson)) $(if $(MINE),MINE=1)

hint-%: .force ## the next hint for the step you are at
	$(check-lesson)
	@$(tools)/hint.sh $(lesson) $(call short,$(lesson))

demo-%: $$(needs) $$(if $$(call lesson),$B/fast/demo/$$(call lesson)/lesson) .force ## run the slide's program on your code
	$(check-lesson)
	@$B/fast/demo/$(lesson)/lesson

demo-15: build/packages/tests+08-redis+15c-server build/packages/bench build/packages/plot \
    $(patsubst %,$B/fast/%,cache-server/lesson cache-server/solution demo/08-redis/solution) .force
	@$(tools)/demo_15.sh $(filter $B/%,$^)

# What bench.sh is told: the bench, the reference, yours, and lesson 1's kv.
bench-parts = $(if $(call lesson),build/packages/bench+plot $B/fast/bench/$(call lesson) \
    $B/fast/so/$(call lesson)/solution.so $B/fast/so/01-introduction/solution.so $B/fast/bench/01-introduction)
bench = $(tools)/bench.sh $1 $(lesson) $(call short,$(lesson)) $(module-$(lesson)) \
    $B/fast/bench/$(lesson) $B/fast/so/$(lesson)/solution.so $B/fast/so/$(lesson)/lesson.so \
    $B/fast/so/01-introduction/solution.so

bench-%: $$(needs) $$(bench-parts) .force ## your code, the reference and its peers, timed
	$(check-lesson)
	@$(call bench,bench)

cost-%: $$(needs) $$(bench-parts) .force ## instructions per get against size: no clock, no noise
	$(check-lesson)
	@$(call bench,cost)

plot-%: $$(needs) $$(bench-parts) .force ## the lesson's charts with your own line
	$(check-lesson)
	@$(call bench,plot)

valgrind-%: $$(needs) .force ## the memory check by itself
	$(check-lesson)
	@$(tools)/memory.sh $(lesson) $(call lesson-program,plain)

race-%: $$(needs) .force ## the race check by itself
	$(check-lesson)
	@$(tools)/race.sh $(lesson) $(call lesson-program,tsan)

debugged = $(subst $(space),_,$(strip $(TEST)))
debug-%: $$(call needs,debug) .force ## step through one test: make debug-5 TEST=name
	$(check-lesson)
	@$(MAKE) -s $(call lesson-program,plain)
	@grep -q '^TEST($(debugged),' tests/$(lesson)/test.c || \
	    { echo "Say which test, by its name on the page: make debug-$(call short,$(lesson)) TEST='...'"; exit 1; }
	gdb -q -ex 'break runner_fail' -ex 'break $(debugged)_body' -ex run --args $(call lesson-program,plain) $(debugged)

cache-server: build/packages/tests+15c-server $B/fast/cache-server/lesson .force ## your server of lesson 15c as a program, build/cache-server
	@cp $B/fast/cache-server/lesson build/cache-server
	@echo 'build/cache-server --port 7379 starts it; redis-cli -p 7379 talks to it.'

fuzz-%: $$(call needs,fuzz) $$(if $$(call lesson),build/clang/fuzz/run/$$(call lesson)/lesson) .force ## random input for your parser: make fuzz-15c SECONDS=60
	$(check-lesson)
	@$(tools)/fuzz.sh $(lesson) build/clang/fuzz/run/$(lesson)/lesson $(or $(SECONDS),60)

diff-%: $$(call needs,diff) .force ## your code beside the solution
	$(check-lesson)
	@test -f solutions/$(lesson)/$(module-$(lesson)).c || \
	    { echo "There is no solutions/$(lesson)/ here to compare with."; exit 1; }
	@for file in $(call files,$(lesson)); do git --no-pager diff --no-index --stat -p \
	    lessons/$(lesson)/$$file.c solutions/$(lesson)/$$file.c; done || true

reset-%: .force ## put the stub back [FILE=name]; what you wrote is kept as a copy
	$(check-lesson)
	@$(tools)/reset.sh $(lesson) $(patsubst %.c,%,$(FILE))

doctor: ## what is missing on this machine, and how to get it
	@$(tools)/doctor.sh

help: ## this list
	@echo 'N is a lesson: 5, 05, lru or 05-lru. CC=clang takes the other compiler, V=1 shows'
	@echo 'the commands, MINE=1 builds on your own earlier lessons instead of the reference.'
	@echo
	@sed -n 's/^\([a-z-]*\)%\{0,1\}:.*## \(.*\)/\1\t\2/p' Makefile | \
	    awk -F '\t' '{ printf "  make %-14s %s\n", $$1 ($$1 ~ /-$$/ ? "N" : ""), $$2 }'

clean: ## remove build/, and with it nothing but time
	rm -rf build

# -- for maintainers ------------------------------------------------------------
# Each proof writes a file of lines "ok ..." or "not ok ..." and never fails by
# itself, so that one run shows all that is wrong; the summary judges.
proof = build/proof/$1
mutants = $(patsubst tests/$1/mutants/%.patch,%,$(wildcard tests/$1/mutants/*.patch))
alternates = $(patsubst tests/$1/alternates/%.c,%,$(wildcard tests/$1/alternates/*.c))
proofs-of = $(addprefix build/proof/$1/,\
    mutants solution.gcc.check solution.clang.check solution.gcc.asan solution.clang.asan \
    solution.gcc.valgrind repeat stub.gcc.check stub.clang.check demo agree chart \
    $(if $(filter $(gradable),$1),grade) $(if $(fixtures-$1),killed) $(proofs-$1) \
    $(if $(filter $(threaded),$1),solution.gcc.tsan) \
    $(if $(filter $(filter-out $(uses-epoll),$(threaded)),$1),solution.gcc.helgrind) \
    $(foreach d,$(databases-$1),$(patsubst %,solution.%@$d,gcc.check clang.check gcc.asan)) \
    $(foreach a,$(call alternates,$1),alternates/$a.gcc.check alternates/$a.gcc.asan))
# The longest first, so that no processor waits for them at the end.
backwards = $(if $1,$(lastword $1) $(call backwards,$(wordlist 2,$(words $1),x $1)))
proofs := $(addprefix build/proof/,attacks reduced intake resume services book faults leftovers missing) \
    $(foreach l,$(call backwards,$(present)),$(call proofs-of,$l))

test: $(proofs) ## prove the course: solutions pass, stubs fail, misconceptions are caught
	@$(tools)/summary.sh $^

test-%: $$(call proofs-of,$$(lesson)) .force ## the same for one lesson
	$(check-lesson)
	@$(tools)/summary.sh $(filter build/proof/%,$^)

# Tests that wait, for servers or for threads that they stop, leave room for
# more of them at once.
jobs = $(if $(fixtures-$1)$(watched-$1),6,2)
# build/proof/LESSON/WHICH.COMPILER.HOW runs WHICH as built by COMPILER in HOW.
prove = TEST_JOBS=$(call jobs,$(call run-lesson,$*)) $(tools)/prove.sh $1 $@ $(call run-lesson,$*)
# HOW@NAME does it with DB=NAME.
how-mode = $(or $(filter-out valgrind helgrind,$(firstword $(subst @, ,$1))),plain)
define proof-rules
build/proof/%.$1.$2: build/$1/$(call how-mode,$2)/run/% tests/tools/prove.sh | build/packages/proof
	@mkdir -p $$(@D)
	@$$(call prove,$2) $$< $$(call which,$$*) $1
endef
$(foreach c,gcc clang,$(foreach h,check asan tsan valgrind helgrind check@postgres asan@postgres,\
    $(eval $(call proof-rules,$c,$h))))

build/proof/%/repeat: build/gcc/grade/run/%/solution tests/tools/prove.sh
	@$(call prove,repeat) $<

build/proof/%/demo: build/gcc/fast/demo/%/solution tests/%/transcript.txt tests/tools/prove.sh
	@$(call prove,demo) $<

build/proof/%/agree: $$(wildcard lessons/$$*/* tests/$$*/* tests/$$*/stub/* solutions/$$*/*) tests/tools/agree.awk
	@$(call prove,agree) $(module-$*)

build/proof/%/mutants: $$(foreach m,$$(call mutants,$$*),build/gcc/grade/run/$$*/mutants/$$m) tests/%/signatures.tsv
	@$(call prove,mutants) $(filter build/gcc/%,$^)

# Lesson 8's tests and tools of Redis at our server; input from the fuzzer.
build/proof/15c-server/lesson-8: build/gcc/fast/cache-server/solution build/gcc/check/run/08-redis/solution tests/15c-server/beyond.tsv tests/tools/prove.sh
	@mkdir -p $(@D)
	@$(tools)/prove.sh lesson_8 $@ 15c-server $(wordlist 1,3,$^)
build/proof/15c-server/program: build/gcc/fast/cache-server/solution tests/tools/prove.sh
	@mkdir -p $(@D)
	@$(tools)/prove.sh program $@ 15c-server $<
build/proof/%/fuzz: build/clang/fuzz/run/%/solution tests/tools/prove.sh tests/tools/fuzz.sh
	@mkdir -p $(@D)
	@$(call prove,fuzz) $<

build/proof/faults: build/gcc/check/run/faults/alternates/faulty tests/faults/expected.tsv tests/tools/prove.sh
	@mkdir -p $(@D)
	@$(tools)/prove.sh faults $@ faults $<

build/proof/leftovers: $(patsubst %,build/gcc/%/run/leftovers/alternates/untidy,check grade) tests/leftovers/expected.tsv tests/tools/prove.sh
	@mkdir -p $(@D)
	@$(tools)/prove.sh leftovers $@ leftovers $(filter build/gcc/%,$^)

build/proof/missing: $(foreach l,$(present),$(if $(filter redis postgres,$(fixtures-$l)),build/gcc/check/run/$l/solution)) tests/tools/prove.sh
	@mkdir -p $(@D)
	@$(tools)/prove.sh missing $@ missing $(filter build/gcc/%,$^)

build/proof/%/killed: build/gcc/check/run/%/solution tests/tools/prove.sh
	@mkdir -p $(@D)
	@$(call prove,killed) $<

signatures: $(present:%=signatures-%) ## write down which tests each mutant fails
signatures-%: $$(addsuffix /mutants,$$(addprefix build/proof/,$$(lesson))) ## the same for one lesson
	$(check-lesson)
	@cp build/proof/$(lesson)/signatures.tsv tests/$(lesson)/signatures.tsv

measure-%: $$(bench-parts) .force ## measure anew for the charts in plots/; then make plots
	$(check-lesson)
	@$(call bench,measure)

pictures := $(patsubst %.pikchr,%.svg,$(filter-out plots/style.pikchr,$(wildcard plots/*.pikchr)))
plots: $(foreach l,$(present),plots/$l.svg $(patsubst %.gp,%.svg,$(wildcard plots/$l-speed.gp))) $(pictures) ## draw every chart and picture anew

plots/%.svg: plots/%.gp plots/%.tsv plots/style.gp | build/packages/plot
	gnuplot $<

plots/%.svg: plots/%.pikchr plots/style.pikchr plots/picture.sh | build/packages/pictures
	sh plots/picture.sh $*

# The counted data of a chart is what the bench counts.
build/proof/%/chart: $$(wildcard plots/$$*.tsv plots/*.sh) build/gcc/fast/bench/% build/gcc/fast/bench/01-introduction \
    build/gcc/fast/so/%/solution.so build/gcc/fast/so/01-introduction/solution.so tests/tools/prove.sh tests/tools/bench.sh
	@mkdir -p $(@D)
	@$(call prove,chart) counts $* $(call short,$*) $(module-$*) build/gcc/fast/bench/$* \
	    build/gcc/fast/so/$*/solution.so none build/gcc/fast/so/01-introduction/solution.so

# -- for those who teach (tests/grade/README.md) --------------------------------
# The grader's two halves of a lesson, with glue made of its header: the tests,
# which hold no student's code, and the worker, to which it is linked in a cage.
G := build/grade
half = $(patsubst %,build/gcc/$1/tests/%.o,$2)
glue-headers := $(patsubst %,lessons/common/%.h,bytes status clock)
$G/%/client.c $G/%/worker.c: $$(wildcard lessons/$$*/*.h) $(glue-headers) tests/grade/glue.py | build/packages/grade
	@mkdir -p $(@D)
	$Qfor side in client worker; do \
	    python3 tests/grade/glue.py $$side $(if $(filter $(called-by-threads),$*),--threads) \
	        lessons/$*/$(module-$*).h $(patsubst %,lessons/$*/%.h,$(types-$*)) $(glue-headers) > $G/$*/$$side.new && \
	    mv $G/$*/$$side.new $G/$*/$$side.c || exit 1; done

client-objects = build/gcc/grade/$G/$1/client.o build/gcc/$2/tests/$1/test.o $(patsubst %,build/gcc/grade/lessons/$1/%.o,$(outside-$1)) \
    $(call half,grade,$(addprefix grade/,client wire runner_fork) \
    $(addprefix support/,check heap model $(call fixtures,$1)))
link-tests = $Qgcc $(call wrap-of,heap) $^ -o $@ $(call libs,$*) $(call fixture-libs,$*) -pthread
$G/%/tests: $$(call client-objects,$$*,grade)
	$(link-tests)
$G/%/tests-memory: $$(call client-objects,$$*,plain)
	$(link-tests)

# heap.o without its guards is for Valgrind, which has better ones.
worker-objects = build/gcc/grade/$G/$1/worker.o $(call half,grade,\
    grade/worker grade/wire $(if $(filter $(clocked),$1),grade/worker_clock) \
    $(addprefix support/,work $(watched-$1))) \
    $(call given,build/gcc/check,$1) $(foreach l,$(call below,$1),\
    $(call objects,build/gcc/check,$l,solution) $(call given,build/gcc/check,$l))
$G/%/worker.o: $$(call worker-objects,$$*) $(call half,grade,support/heap)
	$Qld -r $^ -o $@
$G/%/worker-memory.o: $$(call worker-objects,$$*) $(call half,plain,support/heap)
	$Qld -r $^ -o $@
# What the cage is told: the lesson's module, how to compile it and link it,
# whether its tests start servers, and by which way the code gets to those.
# (To a database it does not: it is given functions, and those stay outside.)
by-network = $(filter 08-redis 12-api 15b-cluster 15c-server,$*)
by-socket = $(filter 08-redis 09-invalidation 10-layers 15c-server,$*)
$G/%/about: Makefile
	@mkdir -p $(@D)
	@{ echo 'module $(module-$*)'; \
	    echo 'flags $(STD) $(filter-out -Werror=%,$(WARN)) $(flags-check) $(call code-flags,check)'; \
	    echo 'libs $(call wrap,$*) $(call libs,$*) -pthread'; \
	    echo 'less $(filter $*,$(talkative))'; \
    echo 'fixtures $(fixtures-$*)'; \
    echo 'sockets $(by-socket)'; echo 'network $(by-network)'; \
    echo 'serves $(filter 15c-server,$*)'; } > $@

# The headers, without the code that stands beside them.
$G/include/stamp: $(wildcard lessons/*/*.h)
	@mkdir -p $(@D)
	$Qcp --parents $^ $(@D) && touch $@

# What holds submissions where no cage can be built.
$G/confine: tests/grade/confine.c
	@mkdir -p $(@D)
	$Qgcc $(STD) $(test-flags) $(WARN) -Werror -O1 $< -o $@

grade-parts = $(patsubst %,$G/$1/%,tests tests-memory worker.o worker-memory.o about) $G/include/stamp $G/confine
graded := $(if $(LESSONS),$(foreach l,$(LESSONS),$(or $(filter $(gradable),$(call find,$l)),\
    $(error Lesson '$l' cannot be graded))),$(gradable))
grade-parts: $(foreach l,$(graded),build/packages/grade+$l) $(foreach l,$(graded),$(call grade-parts,$l))

# Names go through the environment: the shell is not to read them.
export SUBMISSIONS SUBMISSION CLASS CLASSES DIR
grade: grade-parts ## points for this tree, or for SUBMISSIONS=folder [JOBS=n] [LESSONS="2 5"]
	@python3 tests/grade/grade.py --root . --class "$$CLASS" --submissions "$$SUBMISSIONS" --submission "$$SUBMISSION" \
	    --lessons '$(graded)' $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) \
	    --isolation '$(ISOLATION)'

# One gradebook of the results of several runs, on one machine or on many.
gradebook: build/packages/grade ## one gradebook of CLASSES="folder folder", into CLASS=folder
	@python3 tests/grade/gradebook.py '$(graded)' "$$CLASS" $$CLASSES

# What is uploaded to a service that grades each submission as it comes.
gradescope: build/packages/grade ## the autograder for Gradescope: [LESSONS="2 5"] [ISOLATION=reduced]
	@python3 tests/grade/package.py gradescope $G '$(graded)' '$(ISOLATION)'
autolab: build/packages/grade ## the autograder for Autolab: [LESSONS="2 5"] [ISOLATION=reduced]
	@python3 tests/grade/package.py autolab $G/autolab '$(graded)' '$(ISOLATION)'

# The grader is right about what is right, and no attack gets anything.
build/proof/%/grade: $$(call grade-parts,$$*) $$(wildcard solutions/$$*/*.c tests/$$*/alternates/*.c tests/grade/*.py)
	@python3 tests/grade/grade.py --root . --class $@.d --lessons $* --prove lesson && mv $@.d/lines $@ && printf . >&2
attacked := 01-introduction 07-threads 08-redis 12-api
build/proof/attacks: $(foreach l,$(attacked),$(call grade-parts,$l)) $(wildcard tests/grade/attacks/* tests/grade/attacks/*/* tests/grade/*.py)
	@python3 tests/grade/grade.py --root . --class $@.d --lessons '$(attacked)' --prove attacks && mv $@.d/lines $@ && printf . >&2
# The same without a cage, for what that holds. In a PID namespace: a fault here
# would be one that harms every process there is.
build/proof/reduced: $(call grade-parts,01-introduction) $(wildcard tests/grade/attacks/* tests/grade/*.py)
	@timeout -s KILL 600 unshare $(if $(filter-out 0,$(shell id -u)),--user --map-current-user) --pid --fork --mount-proc --kill-child \
	    python3 tests/grade/grade.py --root . --class $@.d --lessons 01-introduction --isolation reduced --prove reduced && \
	    mv $@.d/lines $@ && printf . >&2

# A workbook for students: the solutions as objects only.
handout-objects = $(foreach l,$(present),$(foreach m,check fast,$(call objects,build/gcc/$m,$l,solution))) \
    $(sort $(foreach t,$(filter $(present),$(threaded)),$(foreach l,$(call below,$t),$(call objects,build/gcc/tsan,$l,solution))))
handout: $(handout-objects) ## a workbook for students, without solutions: make handout DIR=folder
	@$(if $(DIR),,echo 'Say where: make handout DIR=folder' >&2; exit 2)
	@sh tests/grade/handout.sh "$$DIR" $^ && echo "The workbook for students is in $$DIR"
handout-check: $(handout-objects) ## prove that its lessons work, and that nothing leaks from it
	@sh tests/grade/handout_check.sh $^

# What is handed in, a run that is killed, and other services harm no grade.
$(addprefix build/proof/,intake resume services): $(foreach l,01-introduction 15a-policy,$(call grade-parts,$l)) $(wildcard tests/grade/*.py tests/grade/services/*)
	@mkdir -p $(@D)
	@python3 tests/grade/prove_class.py $(@F) $@ 01-introduction $(if $(filter intake,$(@F)),15a-policy)

# -- the book (tests/book/) -----------------------------------------------------
book := build/book
# LESSON:MODULE:NEEDS of each, for course.sh.
export BOOK_MAP := $(foreach l,$(lessons),$l:$(module-$l):$(subst $(space),$(comma),$(needs-$l)))
texts := README.md $(wildcard lessons/*/README.md tests/*/README.md CONTRIBUTING.md)
page-text = $(or $(wildcard lessons/$1/README.md tests/$1/README.md),$($1-text))
index-text := README.md
contributing-text := CONTRIBUTING.md
glossary-text := $(book)/glossary.md
page-kind = $(if $(filter index,$1),front,$(if $(filter lessons/%,$(call page-text,$1)),lesson,text))
lesson-pages := $(patsubst lessons/%/README.md,%,$(wildcard lessons/*/README.md))
pages := index $(lesson-pages) glossary $(patsubst tests/%/README.md,%,$(wildcard tests/*/README.md)) \
    $(if $(wildcard CONTRIBUTING.md),contributing)
# What the texts link to: a picture is copied, any other file becomes a page.
linked := $(if $(filter book%,$(MAKECMDGOALS)),$(shell sh tests/book/linked.sh $(texts)))
code-page-of = $(book)/$(subst /,_,$(patsubst .%,%,$1)).html
code-pages := $(foreach f,$(filter-out %.svg,$(linked)),$(call code-page-of,$f))
images := $(filter %.svg,$(linked))
yours := $(wildcard build/plot/*.svg)
book-tools := $(addprefix tests/book/,page.sh page.html book.lua)
book-assets := $(addprefix $(book)/,book.css book.js theme.js lunr.js search.js state.js)

book: build/packages/book $(pages:%=$(book)/%.html) $(code-pages) $(book-assets) ## the course as pages, in build/book/index.html
	@$(if $(images),cp --parents -u $(images) $(book))
	@$(if $(yours),mkdir -p $(book)/yours && cp -u $(yours) $(book)/yours)
	@echo 'Open $(book)/index.html'

book-pdf: build/packages/book+book-pdf $(book)/book.pdf ## the same on paper, in build/book/book.pdf
	@echo '$(book)/book.pdf is there'

$(book)/book.pdf: $(pages:%=$(book)/%.html) tests/book/book.css tests/book/pdf.sh | book build/packages/book+book-pdf
	@sh tests/book/pdf.sh $@ $(pages)

screens: build/packages/tests+05-lru build/packages/proof ## take the red and the green page of the README anew
	@sh tests/book/screens.sh plots/screen

book-test: build/packages/book+book-test build/proof/book ## try the book in a browser
	@$(tools)/summary.sh build/proof/book

# Where there is no browser it says so, and make test does without.
build/proof/book: $(texts) $(wildcard tests/book/* lessons/*/*.[ch] plots/*.gp plots/*.pikchr)
	@mkdir -p $(@D)
	@sh tests/book/test.sh > $@.new && mv $@.new $@ && printf . >&2

$(pages:%=$(book)/%.html): $(book)/%.html: $$(call page-text,$$*) $$(wildcard lessons/$$*/$$(module-$$*).h \
    build/plot/$$**.svg) $(book)/course.tsv $(book-tools)
	@sh tests/book/page.sh $@ $(call page-kind,$*) $<

define code-page
$(call code-page-of,$1): $1 $(wildcard $1/*) $(book)/course.tsv $(book-tools)
	@sh tests/book/page.sh $$@ code $1
endef
$(foreach f,$(filter-out %.svg,$(linked)),$(eval $(call code-page,$f)))

# Written anew each time, but new only where it differs.
renew = @mkdir -p $(@D) && $1 > $@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }
$(book)/course.tsv: $(texts) Makefile tests/book/course.sh | build/packages/book
	$(call renew,sh tests/book/course.sh $(glossary-text))
$(glossary-text): $(lesson-pages:%=$(book)/%.html) tests/book/glossary.sh
	$(call renew,sh tests/book/glossary.sh $(book)/course.tsv $(lesson-pages:%=$(book)/parts/%.terms))
$(book)/state.js: .force
	$(call renew,$(tools)/dashboard.sh --states | sh tests/book/state.sh)
$(book)/search.js: $(pages:%=$(book)/%.html)
	@cat $(pages:%=$(book)/parts/%.js) > $@
$(book)/lunr.js: | build/packages/book
	@mkdir -p $(@D) && cp /usr/share/javascript/lunr/lunr.min.js $@
$(book)/%: tests/book/%
	@mkdir -p $(@D) && cp $< $@

check: build/packages/check+proof+bench ## layout, lint, and texts against code
	@$(tools)/check.sh $(STD) -D_GNU_SOURCE $(INCLUDE)

.force:
.PHONY: .force grade gradebook grade-parts gradescope autolab handout handout-check dashboard doctor help clean test signatures plots check book book-pdf book-test screens

-include $(wildcard build/gcc/grade/*/*/*.d build/gcc/grade/*/*/*/*.d $B/*/*/*.d $B/*/*/*/*.d $B/*/*/*/*/*.d)
