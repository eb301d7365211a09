# SPDX-License-Identifier: GPL-2.0-or-later
#
# The front door. Calls Kbuild, CMake and selftests/machine/run.py, and installs what they need.
#
#   make run [GUEST=6.12] [KERNEL=6.12] [PARAM="ept=0"]   a Debian guest on vellum.ko in the test machine
#   make test          lint, unit tests, selftests in the test machine
#   make unit          unit tests in user space, under ASan+UBSan and under TSan
#   make scale         what the MMU's operations cost up to a guest of 12 TiB, simulated
#   make soak          random operations on the MMU under ASan+UBSan, for SOAK=600 seconds
#   make bench         what operations cost, beside kvm_intel
#   make selftest      the list of selftests in the test machine
#   make conformance   the same with what takes minutes: longer races, the kernel's own larger tests
#   make lint          style and layering; make format rewrites the C++ files
#   make kmod          vellum.ko for every supported kernel, into build/<release>/
#   make vmm           the VMM and the programs for the machine, into build/host/
#   make debug         the test machine with a shell script of yours: SCRIPT=file [KERNEL=] [PARAM=]
#   make install       vmm and, through DKMS, the module, on this host
#   make clean

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

# Kernels that the module is built for and tested on.
KERNELS := 6.1 6.12
# KERNEL: of the test machine. GUEST: of the guest in it. PARAM: module parameters, "k=v k=v".
KERNEL ?= 6.1
GUEST ?= 6.1
PARAM ?=
JOBS ?= 2
# Seconds of random operations, while the selftests run.
SOAK ?= 600

# All from bookworm main, updates, security.
PACKAGES := \
	acpica-tools \
	binutils \
	bochs \
	bochs-term \
	bochsbios \
	busybox-static \
	cmake \
	g++ \
	gcc \
	kmod \
	libarchive-dev \
	libc6-dev \
	libcli11-dev \
	libelf1 \
	libexpected-dev \
	libfmt-dev \
	libgmock-dev \
	libgtest-dev \
	libkmod-dev \
	liblz4-dev \
	liblzma-dev \
	libssl3 \
	liburing-dev \
	libxxhash-dev \
	libzstd-dev \
	libzydis-dev \
	lz4 \
	ninja-build \
	nlohmann-json3-dev \
	pkgconf \
	python3 \
	sparse \
	xz-utils \
	zlib1g-dev \
	zstd

# Needed by make lint alone, and large.
LINT_PACKAGES := clang-format

MACHINE := selftests/machine
RUN := $(MACHINE)/run.py
KERNELS_PY := python3 $(MACHINE)/kernels.py
PARAMS := $(foreach word,$(PARAM),--param $(word))

.PHONY: all run test unit scale soak selftest conformance bench lint format debug kmod kmod-one kmod-part vmm asan tsan install clean packages lint-packages

all: kmod vmm

# Installs what is missing, and only then touches the network.
lint-packages: NEEDED = $(LINT_PACKAGES)
packages: NEEDED = $(PACKAGES)
packages lint-packages:
	@missing=$$({ dpkg-query -W -f '$${Package} $${Status}\n' $(NEEDED) 2>/dev/null || true; } \
	  | sed -n 's/ install ok installed$$//p' | sort -u | comm -13 - <(printf '%s\n' $(NEEDED) | sort)); \
	if [ -n "$$missing" ]; then \
	  echo "installing" $$missing; \
	  sudo=; [ $$(id -u) = 0 ] || sudo=sudo; \
	  $$sudo apt-get -qq update; mkdir -p build; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $$missing \
	    >build/apt.log 2>&1 || { tail -20 build/apt.log >&2; exit 1; }; \
	  grep -a '^Need to get' build/apt.log || true; \
	fi

# --- the module -----------------------------------------------------------------------------------------------------

# FOLDER:NAME
MODULES := kmod:vellum $(MACHINE)/provoke:provoke

kmod: packages
	@for series in $(KERNELS); do \
	  headers=$$($(KERNELS_PY) headers $$series); \
	  for module in $(MODULES); do \
	    $(MAKE) kmod-one HEADERS=$$headers RELEASE=$${headers##*/linux-headers-} SOURCE=$${module%:*} MODULE=$${module#*:}; \
	  done; \
	done

# Kbuild writes beside the sources: each kernel gets a folder of links to them. A warning, whether of the compiler,
# sparse, modpost or objtool, fails the build and takes its objects with it, so that it comes back next time.
# Only sources are linked: what a Kbuild run by hand has left in kmod/ stays out.
# The module in build/<release>/ is stripped of debug information; the full one stays in the folder of its name.
mirror = find $$tree -type l \( -xtype l -o -name '*.o' \) -delete; (cd $(1) && find . -name '*.[chS]' -o -name '*.mk' -o -name Kbuild) \
	| (cd $$tree && while read -r file; do [ "$$file" -ef "$(CURDIR)/$(1)/$$file" ] || { mkdir -p "$${file%/*}"; ln -sf "$(CURDIR)/$(1)/$$file" "$$file"; }; done)

kmod-one:
	@out=build/$(RELEASE); tree=$$out/$(MODULE); log=$$out/$(MODULE).log; ko=$$out/$(MODULE).ko; \
	mkdir -p $$tree; \
	exec 9>>$$out/lock; flock 9; \
	$(call mirror,$(SOURCE)); \
	[ -f $$ko ] || echo "building $(MODULE).ko for $(RELEASE)"; \
	if ! nice $(MAKE) -j$(JOBS) -C $(HEADERS) M=$(CURDIR)/$$tree W=1 C=1 CONFIG_DEBUG_INFO_BTF_MODULES= \
	    modules >$$log 2>&1; then \
	  sed "s|$(CURDIR)/$$tree/|$(SOURCE)/|g" $$log >&2; rm -f $$ko; \
	  echo "make: $(MODULE).ko does not build for $(RELEASE); log: $$log" >&2; exit 1; \
	fi; \
	if grep -q 'warning:\|WARNING:' $$log; then \
	  grep -A3 'warning:\|WARNING:' $$log | sed "s|$(CURDIR)/$$tree/|$(SOURCE)/|g" >&2; \
	  for file in $$(grep 'warning:\|WARNING:' $$log | grep -o '^[^ :]*' | sort -u); do \
	    case $$file in \
	    *.c|*.S|*.o) rm -f $${file%.*}.o;; \
	    *) grep -rlF --include='.*.o.cmd' "$${file#$(CURDIR)/$$tree/}" $$tree | sed 's|/\.\([^/]*\)\.cmd$$|/\1|' | xargs -r rm -f;; \
	    esac; \
	  done; \
	  rm -f $$ko; \
	  echo "make: warnings in $(MODULE).ko for $(RELEASE); log: $$log" >&2; exit 1; \
	fi; \
	[ $$ko -nt $$tree/$(MODULE).ko ] || strip --strip-debug -o $$ko $$tree/$(MODULE).ko

# make kmod-part PART=emul: the objects of one room alone, for both kernels; symbols of other rooms may be missing.
kmod-part: packages
	@for series in $(KERNELS); do \
	  headers=$$($(KERNELS_PY) headers $$series); \
	  tree=build/$${headers##*/linux-headers-}/part-$(PART); \
	  mkdir -p $$tree; \
	  $(call mirror,kmod); rm -f $$tree/Kbuild; \
	  printf '%s\n' 'obj-m := part.o' 'ccflags-y += -I$$(src)' 'include $$(src)/$(PART)/objects.mk' \
	    'part-y := part-license.o $$(vellum-y)' >$$tree/Kbuild; \
	  printf '%s\n' '#include <linux/module.h>' 'MODULE_LICENSE("GPL");' 'MODULE_DESCRIPTION("part");' \
	    >$$tree/part-license.c; \
	  nice $(MAKE) -j$(JOBS) -C $$headers M=$(CURDIR)/$$tree W=1 C=1 CONFIG_DEBUG_INFO_BTF_MODULES= \
	    KBUILD_MODPOST_WARN=1 modules 2>&1 | { grep -v 'undefined!' || true; } \
	    | sed "s|$(CURDIR)/$$tree/|kmod/|g"; \
	done

# --- user space -----------------------------------------------------------------------------------------------------

# $(call cmake,FOLDER,OPTIONS,TARGETS): configures once, builds what changed, one build at a time; speaks only when
# something fails.
define cmake
	@mkdir -p build/$(1); \
	exec 9>>build/$(1)/lock; flock 9; \
	[ -f build/$(1)/build.ninja ] || { \
	  echo "configuring build/$(1)"; \
	  cmake -S . -B build/$(1) -G Ninja $(2) >build/$(1).log 2>&1 || { cat build/$(1).log >&2; exit 1; }; }; \
	[ -f build/$(1)/.ninja_log ] || echo "building build/$(1)"; \
	nice cmake --build build/$(1) -j$(JOBS) --target $(3) >build/$(1).log 2>&1 || { \
	  grep -v '^\[[0-9]*/[0-9]*\] [BL]' build/$(1).log >&2; exit 1; }
endef

# $(call ctest,FOLDER)
define ctest
	@ctest --test-dir build/$(1) -j$(JOBS) --output-on-failure >build/$(1)-tests.log 2>&1 || { \
	  grep -v ' Passed \|^ *Start ' build/$(1)-tests.log >&2; exit 1; }; \
	echo "unit ($(1)): $$(grep -o '[0-9]*% tests passed.*' build/$(1)-tests.log)"
endef

vmm: packages
	$(call cmake,host,,all)

tsan: packages
	$(call cmake,tsan,-DVELLUM_SANITIZE=thread,unit_tests)

asan: packages
	$(call cmake,host,,unit_tests)

unit: asan tsan
	$(call ctest,host)
	$(call ctest,tsan)

scale: packages
	$(call cmake,host,,scale_sim)
	@build/host/tests/scale/scale_sim

SOAK_RUN = nice -n 19 build/host/tests/mmu/mmu_soak --seconds $(SOAK)

soak: asan
	@$(SOAK_RUN)

# --- checks ---------------------------------------------------------------------------------------------------------

# C headers, of the shim and of the guest's PID 1, are in the kernel's style.
CXX_FILES = $(shell git ls-files 'vmm/*.cc' 'vmm/*.h' 'tests/*.cc' 'tests/*.h' 'selftests/*.cc' 'selftests/*.h' \
  ':!tests/shim' ':!vmm/guest')

lint: packages lint-packages
	@clang-format --dry-run -Werror $(CXX_FILES)
	@tests/lint/run.sh
	@python3 -W error -m compileall -q selftests tests
	@out=$$(python3 $(MACHINE)/test_run.py 2>&1) || { echo "$$out" >&2; exit 1; }
	@echo "lint: clean"

# Rewrites the C++ files in the project's style.
format:
	@clang-format -i $(CXX_FILES)

selftest: kmod vmm
	@python3 $(MACHINE)/test_boot.py
	@python3 selftests/run_list.py

# The list with what takes minutes.
conformance: kmod vmm
	@python3 selftests/run_list.py --slow --boot-limit 3600

# The random operations take what the selftests leave of the processors, and are heard of only when they fail. Their seed
# is the same each time, so that red means the change; make soak explores.
test: lint unit
	@log=build/soak.log; $(SOAK_RUN) --seed 1 >$$log 2>&1 & soak=$$!; trap 'kill $$soak 2>/dev/null || true' EXIT; \
	$(MAKE) selftest; \
	wait $$soak || { cat $$log >&2; echo "make: random operations on the MMU failed; log: $$log" >&2; exit 1; }; \
	echo "soak: $$(grep -m1 'machines, seeds' $$log)"

# --- the machine ----------------------------------------------------------------------------------------------------

VMM := build/host/vmm/vmm

# Unpacking a kernel inside the emulator takes a minute, so the guest's comes unpacked.
run: vmm
	@$(MAKE) kmod KERNELS="$(filter $(KERNELS),$(KERNEL))" MODULES=kmod:vellum
	@guest=$$($(KERNELS_PY) elf $(GUEST) cloud-amd64); \
	echo "starting the machine: kernel $(KERNEL), guest $${guest##*/}"; \
	$(RUN) -v --kernel $(KERNEL) --mem 1024 --timeout 900 $(PARAMS) --log build/run.log --add $$guest:/guest/kernel \
	  -- $(VMM) run --kernel /guest/kernel --mem 256M -- uname -r

# Instructions per operation on the stock module and on this one, in one boot; rows and targets in selftests/bench.toml.
bench: vmm
	@$(MAKE) kmod KERNELS="$(filter $(KERNELS),$(KERNEL))" MODULES=kmod:vellum
	@python3 selftests/bench.py --kernel $(KERNEL)

debug: kmod vmm
	@$(RUN) -v --kernel $(KERNEL) --mem 1024 $(PARAMS) --log build/debug.log --add $(VMM) --script $(SCRIPT)

# --- this host ------------------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
DKMS_NAME := vellum
DKMS_VERSION := 0.1

install: vmm
	@install -D -m 755 $(VMM) $(DESTDIR)$(PREFIX)/bin/vmm
	@mkdir -p $(DESTDIR)/usr/src/$(DKMS_NAME)-$(DKMS_VERSION)
	@tree=$(DESTDIR)/usr/src/$(DKMS_NAME)-$(DKMS_VERSION); \
	(cd kmod && find . -name '*.[chS]' -o -name '*.mk' -o -name Kbuild | tar -c -T -) | tar -x -C $$tree
	@install -D -m 644 kmod/abi/60-vellum.rules $(DESTDIR)/usr/lib/udev/rules.d/60-vellum.rules
	@printf '%s\n' 'PACKAGE_NAME="$(DKMS_NAME)"' 'PACKAGE_VERSION="$(DKMS_VERSION)"' \
	  'BUILT_MODULE_NAME[0]="vellum"' 'DEST_MODULE_LOCATION[0]="/updates"' 'AUTOINSTALL="yes"' \
	  'MAKE[0]="make -C $$kernel_source_dir M=$$dkms_tree/$$module/$$module_version/build modules"' \
	  'CLEAN="true"' >$(DESTDIR)/usr/src/$(DKMS_NAME)-$(DKMS_VERSION)/dkms.conf
	@if [ -z "$(DESTDIR)" ]; then \
	  command -v dkms >/dev/null || { echo "make: dkms is missing: apt-get install dkms" >&2; exit 1; }; \
	  dkms install $(DKMS_NAME)/$(DKMS_VERSION); \
	fi

clean:
	@rm -rf build
