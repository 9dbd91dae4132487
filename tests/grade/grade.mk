# The engine: a result for each lesson of each student, several at a time. make
# knows which are there already, and which are older than what they judge, so a
# run that was killed goes on where it stopped.
#   make -f grade.mk -C CLASS PARTS=build/grade JOB=job.py
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SECONDEXPANSION:
.PHONY: all
all: $(patsubst work/%,results/%.json,$(wildcard work/*/*))

parts = $(foreach p,tests tests-memory worker.o worker-memory.o about,$(PARTS)/$(notdir $1)/$p)
results/%.json: $$(wildcard work/$$*/*.c) $$(call parts,$$*) seed isolation
	@mkdir -p $(@D)
	@GRADE_SEED=$$(cat seed) $(JOB) work/$* $(notdir $*) $@
