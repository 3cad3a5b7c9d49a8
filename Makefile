# SPDX-License-Identifier: GPL-2.0-only
#
# Names for the things to do; "make help" lists them. The work is done by the
# tools named here.

KDIR ?=
AUDIT ?=
MACHINE ?=
TESTS ?= *
GUEST ?=
RUNFLAGS ?=
BENCHFLAGS ?=
DESTDIR ?=
PREFIX ?= /usr/local

TESTVM := tools/testvm

.PHONY: all module tools modules_install install run test test-long test-debug coverage test-svm test-vmx test-kvm-selftests fuzz mutate check bench shell clean help

all: module tools

module:
	@$(TESTVM)/build-module --link $(if $(KDIR),--kdir $(KDIR)) $(if $(AUDIT),MKVM_AUDIT=1)

tools:
	@$(MAKE) --no-print-directory -C tools/minikvm

modules_install:
	@$(TESTVM)/build-module --install $(if $(KDIR),--kdir $(KDIR))

install: modules_install tools
	install -D -m 755 tools/minikvm/minikvm $(DESTDIR)$(PREFIX)/bin/minikvm

run:
	@MACHINE=$(MACHINE) $(TESTVM)/run-guest $(GUEST) $(RUNFLAGS)

test:
	@$(TESTVM)/install-packages test
	@$(TESTVM)/install-packages debug
	@$(TESTVM)/run-tests '$(TESTS)'

fuzz:
	@$(MAKE) --no-print-directory -C selftests/unit fuzz $(if $(TIME),FUZZ_SECONDS=$(TIME))
	@$(TESTVM)/install-packages test
	@$(TESTVM)/install-packages debug
	@FUZZ_SECONDS=$(or $(TIME),60) SEED=$${SEED-$$(date +%s)} $(TESTVM)/run-tests svm/ioctl_fuzz_test svm/chaos_test \
		svm/debug/ioctl_fuzz_test svm/debug/chaos_test

mutate:
	@$(MAKE) --no-print-directory -C selftests/unit mutate

test-long:
	@$(TESTVM)/install-packages test
	@$(TESTVM)/install-packages debug
	@$(TESTVM)/run-tests --long '$(TESTS)'

test-debug:
	@$(TESTVM)/install-packages debug
	@$(TESTVM)/run-tests svm/debug_all vmx/debug_all svm/debug_checkers

coverage:
	@$(TESTVM)/install-packages debug
	@$(TESTVM)/coverage

test-svm test-vmx: test-%:
	@$(TESTVM)/install-packages test
	@$(TESTVM)/run-tests --machine $* '$(TESTS)'

test-kvm-selftests:
	@$(TESTVM)/install-packages kvm-selftests $(MACHINE)
	@$(TESTVM)/run-tests $(if $(MACHINE),--machine $(MACHINE)) $(TESTS:%='kvm-selftests/%')

check:
	@$(TESTVM)/install-packages check
	@tools/lint/check

bench:
	@$(TESTVM)/install-packages run $(MACHINE)
	@tools/bench/run-bench $(if $(MACHINE),--machine $(MACHINE)) $(BENCHFLAGS)

shell:
	@MACHINE=$(MACHINE) $(TESTVM)/shell $(RUNFLAGS)

clean:
	@rm -rf build minikvm.ko
	@$(MAKE) --no-print-directory -C tools/minikvm clean
	@$(MAKE) --no-print-directory -C tools/bench clean
	@$(MAKE) --no-print-directory -C selftests clean

help:
	@echo 'make                  build minikvm.ko and the tools (KDIR=DIR: against these kernel headers;'
	@echo '                      AUDIT=1: a module that checks itself, see Documentation/testing.rst)'
	@echo 'make run              boot a test machine and run a guest that says Hello, world!'
	@echo '                      (MACHINE=svm|vmx: in the one with AMD SVM, the default, or Intel VMX;'
	@echo '                      GUEST=FILE: a flat binary of yours; RUNFLAGS="--long --trace-exits")'
	@echo 'make test             all tests, in both test machines (TESTS=GLOB: only these)'
	@echo 'make test-svm         the tests in the machine with AMD SVM (TESTS=GLOB)'
	@echo 'make test-vmx         the tests in the machine with Intel VMX (TESTS=GLOB)'
	@echo 'make test-kvm-selftests'
	@echo '                      the kernel'\''s own KVM selftests, on stock KVM and on minikvm'
	@echo '                      (MACHINE=svm|vmx; TESTS=GLOB)'
	@echo 'make fuzz             random instructions and fuzzers against decoder and emulator, random'
	@echo '                      ioctls and states in the SVM machine, the last two also with faults on'
	@echo '                      the debug kernel, a minute each (TIME=SECONDS; needs clang)'
	@echo 'make mutate           faults in decoder and emulator: which ones do the tests find?'
	@echo 'make test-debug       all tests on kernels with their own checkers on (KASAN, lockdep,'
	@echo '                      kmemleak ...), built at the first use'
	@echo 'make test-long        make test and what takes long'
	@echo 'make coverage         which lines and branches of the module the tests execute'
	@echo 'make check            compiler warnings, sparse and style, against Linux 6.1 and 6.12'
	@echo 'make bench            what operations cost, beside stock KVM (MACHINE=svm|vmx;'
	@echo '                      BENCHFLAGS="--rows out,in": options of tools/bench/run-bench)'
	@echo 'make shell            a shell in a test machine (MACHINE=svm|vmx; RUNFLAGS="--cpus 2":'
	@echo '                      options of testvm)'
	@echo 'make modules_install  install minikvm.ko for the kernel it was built against (as root)'
	@echo 'make install          that, and the program minikvm in $$(DESTDIR)$$(PREFIX)/bin'
	@echo 'make clean            remove what was built; downloads stay in ~/.cache/minikvm'
