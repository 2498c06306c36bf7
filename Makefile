# Everything a developer needs. `make run` and `make test` install and fetch what they need.

SWIFT ?= swift
CHECKED := --explicit-target-dependency-import-check error
# Guests run optimised, so tests are built that way too.
TEST_FLAGS := -c release -Xswiftc -enable-testing $(CHECKED)
SOURCES := Package.swift Sources Tests Examples

.PHONY: run test system-test fuzz bench lint format build clean guests

# Boots Debian's cloud kernel to a shell. GUEST=amd64, 686 or 686-pae takes another kernel, ARGS passes
# options on, for example ARGS="--cpus 2".
GUEST ?= cloud-amd64
run:
	@Scripts/install-packages.sh run
	@Scripts/fetch-guests.sh $(GUEST)
	@Scripts/build-initramfs.sh $(if $(filter 686%,$(GUEST)),i386,amd64)
	@$(SWIFT) build -c release --product martlet $(CHECKED) >&2
	@Scripts/run.sh $(GUEST) $(ARGS)

build:
	$(SWIFT) build -c release $(CHECKED)

test: lint
	@Scripts/install-packages.sh test
	@$(MAKE) --no-print-directory guests
	@Scripts/test.sh $(TEST_FLAGS) $(ARGS)

# Makes a Debian system and uses it: systemd, network, package manager, ssh, shared folder, QEMU, a switch. Some minutes,
# as root. ONLY=system, qemu, qcow2 or pair does one of these.
system-test:
	@Scripts/install-packages.sh system
	@$(SWIFT) build -c release --product martlet $(CHECKED) >&2
	@Tests/SystemTests/debian.py $(if $(filter-out all,$(ONLY)),--only $(ONLY)) $(ARGS) || [ $$? -eq 77 ]

# Runs libFuzzer on each target for SECONDS; TARGET=decoder, boot, devices, network or qcow2 picks one.
SECONDS ?= 60
fuzz:
	@MARTLET_FUZZ=1 $(SWIFT) build -c release --scratch-path .build/fuzz/build -Xswiftc -sanitize=fuzzer -Xswiftc -enable-testing -Xswiftc -use-ld=lld \
	  --product martlet-fuzz >&2
	@Scripts/fuzz.py .build/fuzz/build/release/martlet-fuzz $(SECONDS) $(TARGET)

# Without them the guest-boot tests are skipped, and say so: no reason to fail here.
guests:
	@Scripts/fetch-guests.sh || echo "martlet: some guests are missing; their tests will be skipped" >&2
	@for a in amd64 i386; do Scripts/build-initramfs.sh $$a || true; done

# ONLY=compute (or boot, loop, system, programs, disk, network; several with commas) measures less, BENCH_RUNS=n other
# than three rounds. Disks and networks need root.
ONLY ?= all
bench:
	@Scripts/install-packages.sh bench
	@Scripts/fetch-guests.sh cloud-amd64
	@$(SWIFT) build -c release --product martlet $(CHECKED) >&2
	@Benchmarks/run.py --only $(ONLY) $(ARGS)

lint:
	@$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

format:
	@$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

clean:
	$(SWIFT) package clean
