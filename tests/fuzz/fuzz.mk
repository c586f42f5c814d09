# Included by the Makefile: inputs that are almost right for every parser of what targets and workers say.

.PHONY: fuzz fuzz-replay

FUZZ_OPTIONS := --seconds 600

fuzz: test-setup
	$(PYTHON) -m tests.fuzz.lane $(FUZZ_OPTIONS)

# make fuzz-replay INPUT=.cache/fuzz/elf-0123456789abcdef
fuzz-replay: test-setup
	$(PYTHON) -m tests.fuzz.lane --replay $(INPUT)
