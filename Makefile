# Front door of the project. `make help` lists the targets; each line of help is the comment behind a target's name.
# PRESET chooses the build (release, debug, asan, tsan), JOBS the number of parallel jobs.
PRESET ?= release
JOBS   ?= 2
DEVICE ?= model
BUILD  := build/$(PRESET)

.DEFAULT_GOAL := help
.PHONY: help install-deps configure build demo test test-all coverage bench accuracy formal synth lint format contract clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1|/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

install-deps:  ## install the Debian 12 packages that are missing (root or sudo)
	@tools/install_dependencies.sh

configure: install-deps
	@mkdir -p $(BUILD)
	@cmake --preset $(PRESET) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }

build: configure  ## build everything (PRESET=release, debug, asan or tsan)
	@cmake --build $(BUILD) -j $(JOBS)

demo: build  ## run the whole machine once: virtual time, live, TAP, iperf3; DEVICE=rtl: over the RTL NIC
	@DEVICE=$(DEVICE) POSTERN_BUILD_DIR=$(CURDIR)/$(BUILD) demo/run.sh

# The boundary monitors of the tests write what they have seen of the contract into this folder (docs/monitor.md). Builds
# with sanitizers leave tests out, so only the others are held to the coverage.
COVERAGE := $(CURDIR)/$(BUILD)/contract_coverage

test: build  ## run all tests but the slow ones (and, under sanitizers, those that CMakePresets.json leaves out); contract coverage
	@rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	@POSTERN_COVERAGE_DIR=$(COVERAGE) ctest --preset $(PRESET) -j $(JOBS)
ifneq ($(filter $(PRESET),release debug),)
	@ctest --test-dir $(BUILD) --verbose --no-tests=error -C coverage -R '^contract.Coverage$$'
endif

test-all: build  ## run all tests, also the slow ones
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j $(JOBS)

# A build of its own, whose RTL counts; its tests are those labelled rtl but the slow ones, the proofs and long ones that
# run what others run, too (docs/coverage.md).
RTL_COVERAGE  := $(CURDIR)/build/coverage
RTL_UNCOUNTED := PropertiesHold|ClockMayStandStill|WavesOfTheSignals|Replays$$|ModelLatencyIsCloseToRtl|RandomOperations|^rtl_device\.(FullFrames|ManyVis)

coverage:  ## what the tests exercise of the RTL, beside the contract: table, build/coverage/coverage.json and html/index.html
	@$(MAKE) --no-print-directory configure PRESET=coverage
	@cmake --build $(RTL_COVERAGE) -j $(JOBS) --target rtl_coverage_programs
	@rm -rf $(RTL_COVERAGE)/counts && mkdir -p $(RTL_COVERAGE)/counts/rtl $(RTL_COVERAGE)/counts/contract
	@status=0; POSTERN_RTL_COVERAGE_DIR=$(RTL_COVERAGE)/counts/rtl POSTERN_COVERAGE_DIR=$(RTL_COVERAGE)/counts/contract \
	  ctest --test-dir $(RTL_COVERAGE) --output-on-failure --no-tests=error -j $(JOBS) -L '^rtl$$' -LE '^slow$$' -E '$(RTL_UNCOUNTED)' || status=1; \
	/usr/bin/python3 -B tools/rtl_coverage.py --require 90 --exceptions docs/rtl_coverage_exceptions.toml \
	  --contract $(RTL_COVERAGE)/counts/contract --json $(RTL_COVERAGE)/coverage.json --html $(RTL_COVERAGE)/html \
	  rtl $(RTL_COVERAGE)/counts/rtl || status=1; exit $$status

bench: build  ## measure; prints a table and writes build/bench.json
	@$(BUILD)/bin/postern-bench --json build/bench.json

synth: install-deps  ## synthesize each RTL block with Yosys; the table is in docs/synthesis.md
	@tools/synth.py --out $(BUILD)/synth --write docs/synthesis.md

accuracy: build  ## latencies of model and RTL side by side: table, build/accuracy/figure.png, worst errors into build/bench.json
	@status=0; /usr/bin/python3 -B experiments/accuracy/measure.py --postern $(BUILD)/bin/postern --out build/accuracy \
	  --bench build/bench.json --jobs $(JOBS) || status=$$?; [ $$status -eq 2 ] || \
	  /usr/bin/python3 -B experiments/accuracy/plot.py build/accuracy/data.csv build/accuracy/figure.png; exit $$status

formal: install-deps  ## prove the properties of the RTL blocks and refute a mutant for each (formal/README.md)
	@formal/run.py --out $(BUILD)/formal

lint: configure  ## clang-format, clang-tidy, Verilator's and Yosys' checks on the project's own code; any finding is an error
	@tools/lint.sh $(BUILD) $(JOBS)

format:  ## rewrite the project's own C++ code with clang-format
	@tools/lint.sh --format

contract: install-deps  ## write the files that are generated from contract/nic.yaml
	@/usr/bin/python3 -B contract/generate.py

clean:  ## remove everything that was built
	rm -rf build
