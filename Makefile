# SPDX-License-Identifier: GPL-2.0-only
#
# Names for the things to do; "make help" lists them. The work is done by the
# tools named here.

KDIR ?=
TESTS ?= *
GUEST ?=
RUNFLAGS ?=
DESTDIR ?=
PREFIX ?= /usr/local

TESTVM := tools/testvm

.PHONY: all module tools modules_install install run test check shell clean help

all: module tools

module:
	@$(TESTVM)/build-module --link $(if $(KDIR),--kdir $(KDIR))

tools:
	@$(MAKE) --no-print-directory -C tools/minikvm

modules_install:
	@$(TESTVM)/build-module --install $(if $(KDIR),--kdir $(KDIR))

install: modules_install tools
	install -D -m 755 tools/minikvm/minikvm $(DESTDIR)$(PREFIX)/bin/minikvm

run:
	@$(TESTVM)/run-guest $(GUEST) $(RUNFLAGS)

test:
	@$(TESTVM)/install-packages test
	@$(TESTVM)/run-tests '$(TESTS)'

check:
	@$(TESTVM)/install-packages check
	@tools/lint/check

shell:
	@$(TESTVM)/shell $(RUNFLAGS)

clean:
	@rm -rf build minikvm.ko
	@$(MAKE) --no-print-directory -C tools/minikvm clean
	@$(MAKE) --no-print-directory -C selftests clean

help:
	@echo 'make                  build minikvm.ko and the tools (KDIR=DIR: against these kernel headers)'
	@echo 'make run              boot the test machine and run a guest that says Hello, world!'
	@echo '                      (GUEST=FILE: a flat binary of yours; RUNFLAGS="--long --trace-exits")'
	@echo 'make test             all tests, in the test machine (TESTS=GLOB: only these)'
	@echo 'make check            compiler warnings, sparse and style, against Linux 6.1 and 6.12'
	@echo 'make shell            a shell in the test machine (RUNFLAGS="--cpus 2": options of testvm)'
	@echo 'make modules_install  install minikvm.ko for the kernel it was built against (as root)'
	@echo 'make install          that, and the program minikvm in $$(DESTDIR)$$(PREFIX)/bin'
	@echo 'make clean            remove what was built; downloads stay in ~/.cache/minikvm'
