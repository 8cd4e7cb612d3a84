# Overtime: `make help` lists what can be done here.
PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
MANDIR     ?= $(PREFIX)/share/man
# Where `overtime` looks by default; below the prefix if that is not /usr or /usr/local.
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR    ?= $(PREFIX)/lib/systemd/system
DESTDIR    ?=
BUILD      ?= build
CC         ?= cc
SAN        ?= 0
T          ?=
# Developers and .ci/run set it: a warning of another compiler must not keep a user from building.
WERROR     ?= 0
# As many jobs as processors, unless the caller gives a number.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS  += -j$(shell nproc)
endif
VERSION    := $(shell sed -n 's/^.define OVERTIME_VERSION "\(.*\)"/\1/p' fpm/util/version.h)
SOVERSION  := 0

WARN = -Wall -Wextra -Wno-unused-parameter -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
       -Wformat=2 -Wundef -Wvla -Wwrite-strings $(if $(filter 1,$(WERROR)),-Werror)
# libev's watcher types alias each other by design: hence -fno-strict-aliasing.
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g -fno-strict-aliasing -fstack-protector-strong $(WARN) -I.
# Hardening. Sanitizers do without: they have checks of their own. CET is an option of the compiler for x86 alone.
HARDEN_CFLAGS  = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-clash-protection \
                 $(shell echo 'int f;' | $(CC) -fcf-protection=full -fsyntax-only -xc - 2>/dev/null && echo -fcf-protection=full)
HARDEN_LDFLAGS = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
HARDEN_CFLAGS := $(HARDEN_CFLAGS)
ifneq ($(filter -flto%,$(CFLAGS) $(CPPFLAGS) $(LDFLAGS)),)
$(error LTO is not supported: libovertime.a hides its internal names, which needs machine code; leave out -flto)
endif
ifeq ($(SAN),1)
override BUILD := $(BUILD)/san
BASE_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# The leak check reads all global data at the end of each process; -static-libubsan keeps that small.
LDFLAGS += -fsanitize=address,undefined -static-libubsan
else
BASE_CFLAGS += $(HARDEN_CFLAGS)
override LDFLAGS += $(HARDEN_LDFLAGS)
endif

# Optional libraries, by their pkg-config names: used if they are found; `make` says which it leaves
# out. For each one that is found, -DHAVE_NAME=1 and its flags are added, and the programs that need
# it are linked with $(call libs_of,NAME).
OPTIONAL = libdw ncursesw
FOUND    := $(foreach p,$(OPTIONAL),$(if $(shell pkg-config --exists $(p) && echo y),$(p)))
LEFT_OUT := $(filter-out $(FOUND),$(OPTIONAL))
ifneq ($(FOUND),)
upper = $(shell echo $(1) | tr a-z- A-Z_)
BASE_CFLAGS += $(foreach p,$(FOUND),-DHAVE_$(call upper,$(p))=1) $(shell pkg-config --cflags $(FOUND))
endif
libs_of  = $(if $(filter $(1),$(FOUND)),$(shell pkg-config --libs $(1)))

# Objects with much memory of which little is used are linked last, so that the rest shares its pages.
SHIM_ROOMY = connection/wait_set connection/conn request/hard_timeout
SHIM_SRC = $(wildcard sapi-shim/*/*.c)
CTL_SRC  = $(wildcard fpm/ctl/*.c)
TRACE_SRC = $(wildcard fpm/helpers/tracer*.c)
STATUS_SRC = fpm/helpers/overtime_status.c
FPM_SRC  = $(filter-out fpm/ctl/% fpm/helpers/%,$(wildcard fpm/*.c fpm/*/*.c))
APP_SRC  = $(wildcard tests/apps/*.c) $(wildcard conf/demo/*.c)
UNIT_SRC = $(wildcard tests/unit/test_*.c)
FUZZ_SRC = $(wildcard tests/fuzz/fuzz_*.c)
C_FILES  = $(wildcard fpm/*.[ch] fpm/*/*.[ch] sapi-shim/*.[ch] sapi-shim/*/*.[ch] tests/apps/*.[ch] tests/unit/*.[ch] tests/fuzz/*.[ch] tests/sim/*.[ch] conf/demo/*.[ch] \
             packaging/*.c tests/bench/*.[ch] tests/bench/apps/*.c)

# Objects of the library that the manager uses, too.
SHARED_OBJ = $(patsubst %,$(BUILD)/obj/sapi-shim/%.o,scoreboard/record scoreboard/histogram scoreboard/slot_view \
             status/status status/status_write access_log/log_format access_log/line_buffer util/scalar \
             util/escape util/locale_free util/cidr util/procfs util/listen_queue)
SHIM_OBJ = $(patsubst %,$(BUILD)/obj/sapi-shim/%.o,$(filter-out $(SHIM_ROOMY),$(SHIM_SRC:sapi-shim/%.c=%)) status/status_page $(SHIM_ROOMY))
FPM_OBJ  = $(FPM_SRC:%.c=$(BUILD)/obj/%.o)
PART_OBJ = $(sort $(filter-out %/main.o %/overtimectl.o,$(FPM_OBJ) $(CTL_OBJ)))
CTL_OBJ  = $(patsubst %.c,$(BUILD)/obj/%.o,$(CTL_SRC) fpm/util/spelling.c fpm/util/quantile.c sapi-shim/util/escape.c)
TRACE_OBJ = $(patsubst %.c,$(BUILD)/obj/%.o,$(TRACE_SRC) fpm/util/capabilities.c sapi-shim/util/escape.c)
STATUS_OBJ = $(STATUS_SRC:%.c=$(BUILD)/obj/%.o) $(SHIM_OBJ)
LOAD_OBJ = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/load*.c))
BENCH    = $(patsubst %,$(BUILD)/bench/%,hello-plain hello-linked floor empty startup uwsgi.so)
APPS     = $(APP_SRC:%.c=$(BUILD)/apps/%)
UNIT     = $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
FUZZ     = $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(BUILD)/fuzz/%)
LIBS     = $(BUILD)/libovertime.so $(BUILD)/libovertime.a $(BUILD)/libovertime-preload.so
MAN      = $(wildcard packaging/man/*.[1-8]) $(patsubst packaging/print-directives.c,\
             $(BUILD)/man/overtime.ini.5,$(wildcard packaging/print-directives.c))
PARTS    = $(BUILD)/parts.a
# Each step prints one short line; V=1 shows the commands.
Q        = $(if $(V),,@)
SAY      = $(if $(V),@:,@echo)
COMPILE  = $(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -MMD -MP
RUN      = OVERTIME_BUILD=$(BUILD) OVERTIME_SAN=$(SAN) CC='$(CC)' tests/run $(T)

all: programs $(APPS) $(BUILD)/load $(BENCH)  ## build everything into build/ (default)

programs: $(BUILD)/overtime $(BUILD)/overtimectl $(BUILD)/overtime-trace $(BUILD)/overtime-status $(LIBS) $(MAN)  ## only what is installed
	$(if $(LEFT_OUT),@echo "left out (not installed here): $(LEFT_OUT)")

# Without these libraries nothing compiles; say so before the compiler does.
$(BUILD)/requirements:
	@mkdir -p $(@D)
	@pkg-config --exists fcgi inih jansson && echo '#include <ev.h>' | $(CC) -E - >/dev/null 2>&1 || \
	    { echo "libraries are missing: run packaging/install-deps" >&2; exit 1; }
	@touch $@

# The status page is embedded into the library as bytes.
$(BUILD)/gen/sapi-shim/status/status_page.c: sapi-shim/status/status_page.html
	@mkdir -p $(@D)
	$(SAY) '  EMBED $<'
	$(Q){ echo '#include "sapi-shim/status/status_page.h"'; echo 'const unsigned char status_page[] = {'; \
	    od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '};'; \
	    echo 'const size_t status_page_size = sizeof status_page;'; } >$@
$(BUILD)/obj/sapi-shim/status/status_page.o: $(BUILD)/gen/sapi-shim/status/status_page.c sapi-shim/status/status_page.h
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) $(SHIM_CFLAGS) -c $< -o $@

# The library is position independent and exports only the names of overtime.h and of libfcgi. Its
# thread-local variables are accessed without a call; they take some 600 bytes of the static TLS that a
# program reserves for libraries that it loads late, which is three times as much.
SHIM_CFLAGS = -fPIC -fvisibility=hidden -ftls-model=initial-exec
$(BUILD)/obj/sapi-shim/%.o: sapi-shim/%.c $(BUILD)/flags | $(BUILD)/requirements
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) $(SHIM_CFLAGS) -pthread -c $< -o $@
$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(BUILD)/requirements
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -c $< -o $@

# The flags: when they change, everything is compiled and linked again.
FLAGS = $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@

# The list of all objects: when a file was removed or renamed, the programs are linked again. It does not
# depend on whether BUILD is relative or absolute.
OBJECTS = $(patsubst $(BUILD)/%,%,$(sort $(STATUS_OBJ) $(SHIM_OBJ) $(FPM_OBJ) $(CTL_OBJ) $(TRACE_OBJ) $(LOAD_OBJ)))
$(BUILD)/objects: FORCE
	@mkdir -p $(@D)
	@echo '$(OBJECTS)' | cmp -s - $@ || echo '$(OBJECTS)' >$@
FORCE:

$(BUILD)/overtime: $(FPM_OBJ) $(SHARED_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) -pthread $(filter %.o,$^) -lev -linih -o $@
$(BUILD)/overtimectl: $(CTL_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call libs_of,ncursesw) -ljansson -lm -o $@
# Foreign programs and debug information are parsed outside of the manager, in a process of its own.
$(BUILD)/overtime-trace: $(TRACE_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call libs_of,libdw) -o $@
# The status worker is linked with the library's objects, so that both have the manager's version.
$(BUILD)/overtime-status: $(STATUS_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) -pthread $(filter %.o,$^) -lfcgi -ldl -o $@
$(BUILD)/libovertime.so: $(SHIM_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libovertime.so.$(SOVERSION) -pthread $(filter %.o,$^) -Wl,--no-as-needed -lfcgi -ldl -o $@
	@ln -sf libovertime.so $(BUILD)/libovertime.so.$(SOVERSION)
$(BUILD)/libovertime-preload.so: $(SHIM_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) -shared -pthread $(filter %.o,$^) -Wl,--no-as-needed -lfcgi -ldl -o $@
# One object whose internal names are local, so that none of them clashes with the application's.
$(BUILD)/libovertime.a: $(SHIM_OBJ) $(BUILD)/objects
	$(SAY) '  AR    $@'
	@rm -f $@ $(BUILD)/libovertime.o
	$(Q)ld -r -o $(BUILD)/libovertime.o $(filter %.o,$^)
	$(Q)objcopy --localize-hidden $(BUILD)/libovertime.o
	$(Q)ar rcs $@ $(BUILD)/libovertime.o
# All objects except those with main(), for unit tests and tools.
$(PARTS): $(PART_OBJ) $(SHIM_OBJ) $(BUILD)/objects
	@rm -f $@
	$(Q)ar qcs $@ $(filter %.o,$^)
# Programs that stand for ordinary FastCGI programs: linked without the library.
$(BUILD)/apps/%_plain: %_plain.c | $(BUILD)/requirements
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -pthread $(LDFLAGS) $< -lfcgi -o $@
$(BUILD)/apps/%: %.c $(BUILD)/libovertime.so
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -pthread $(LDFLAGS) $< -L$(BUILD) -Wl,-rpath,'$$ORIGIN/../../..' -lovertime -lfcgi -o $@
# The load generator: linked without the library as well.
$(BUILD)/load: $(LOAD_OBJ) $(BUILD)/objects
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) -lm -o $@
# The contestants of the benchmark: one source, linked without and with the library.
$(BUILD)/bench/hello-linked: tests/bench/apps/hello.c $(BUILD)/libovertime.so
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -DWITH_OVERTIME $(LDFLAGS) $< -L$(BUILD) -Wl,-rpath,'$$ORIGIN/..' -lovertime -lfcgi -o $@
$(BUILD)/bench/hello-plain: tests/bench/apps/hello.c | $(BUILD)/requirements
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) $(LDFLAGS) $< -lfcgi -o $@
$(BUILD)/bench/%.so: tests/bench/apps/%.c
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -fPIC -shared $(LDFLAGS) $< -o $@
$(BUILD)/bench/%: tests/bench/apps/%.c
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) $(LDFLAGS) $< -o $@
$(BUILD)/unit/%: tests/unit/%.c $(PARTS)
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -pthread $(LDFLAGS) $< $(PARTS) -lcriterion -lev -linih -lfcgi -ljansson -lm -ldl -o $@

# A fuzz target with the main program FUZZ_MAIN: one that replays files, or clang's fuzzer.
FUZZ_MAIN = tests/fuzz/replay.c
$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(PARTS)
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) -pthread $(LDFLAGS) $< $(FUZZ_MAIN) $(PARTS) -lev -linih -lfcgi -ljansson $(call libs_of,ncursesw) -lm -ldl -o $@

# The manager's code in a pretended world: its own loop, processes, clock and log come before PARTS.
SIM_OBJ = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/sim/*.c))
$(BUILD)/sim: $(SIM_OBJ) $(PARTS)
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) -pthread -Wl,--wrap=exit_message_compose $(SIM_OBJ) $(PARTS) -linih -lfcgi -ljansson \
	    $(call libs_of,ncursesw) -lm -ldl -o $@

# The manual of the configuration is printed from the table of directives.
$(BUILD)/print-directives: packaging/print-directives.c $(PARTS)
	$(SAY) '  CC    $<'
	$(Q)$(COMPILE) $(LDFLAGS) $< $(PARTS) -lev -linih -o $@
$(BUILD)/man/overtime.ini.5: $(BUILD)/print-directives packaging/man/overtime.ini.5.in
	@mkdir -p $(@D)
	$(Q)$< man packaging/man/overtime.ini.5.in >$@

unit: $(UNIT) $(FUZZ) $(BUILD)/sim

test:  ## install what is missing, build, run all tests; ends with "N passed, N failed"
	@packaging/install-deps build test
	@$(MAKE) --no-print-directory all unit
	@$(RUN)

check: all unit  ## the tests without installing; T=NAME for a folder, a file or a test, SAN=1 for ASan and UBSan
	@$(RUN)

long: all unit  ## the campaigns of the tests in full length, with the promised bounds: hours; T=NAME as for check
	@OVERTIME_LONG=1 $(RUN)

# The fuzzer keeps what it learns in $(BUILD)/fuzz-corpus/, and an input that fails in $(BUILD)/fuzz-found/.
SECONDS ?= 60
FUZZ_ALL = $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
fuzz:  ## clang's fuzzer for SECONDS=60 on one target of tests/fuzz, T=NAME, or on each
	@packaging/install-deps build fuzz
	@$(MAKE) --no-print-directory --silent BUILD=$(BUILD)/clang CC=clang FUZZ_MAIN=-fsanitize=fuzzer \
	    CFLAGS='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined' \
	    LDFLAGS='-fsanitize=address,undefined' $(patsubst %,$(BUILD)/clang/fuzz/%,$(or $(T),$(FUZZ_ALL)))
	@for target in $(or $(T),$(FUZZ_ALL)); do \
	    mkdir -p $(BUILD)/fuzz-corpus/$$target $(BUILD)/fuzz-found || exit 1; \
	    echo "== $$target"; \
	    $(BUILD)/clang/fuzz/$$target -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -verbosity=0 -artifact_prefix=$(BUILD)/fuzz-found/$$target- \
	        $(BUILD)/fuzz-corpus/$$target tests/fuzz/corpus/$$target || exit 1; done

SEED  ?=
SEEDS ?= 10000
sim:  ## the simulator: SEEDS=10000 of them from FIRST=1 on all processors, or SEED=N alone with its timeline
	@$(MAKE) --no-print-directory --silent $(BUILD)/sim
	@if [ -n "$(SEED)" ]; then exec $(BUILD)/sim -v $(SEED); fi; \
	    first=$(or $(FIRST),1) last=$$(($(or $(FIRST),1) + $(SEEDS) - 1)) cpus=$$(nproc); \
	    step=$$((($(SEEDS) + cpus - 1) / cpus)); \
	    for from in $$(seq $$first $$step $$last); do \
	        to=$$((from + step - 1)); echo $$from $$((to < last ? to : last)); \
	    done | xargs -P $$cpus -L 1 $(BUILD)/sim

sim-planted: all  ## the simulator with each planted fault of tests/sim/planted: which are caught, and after how many seeds
	@OVERTIME_BUILD=$(abspath $(BUILD)) tests/sim/planted/run $(T)

bench:  ## Overtime and its peers side by side, tables and a plot into build/bench; CASE=NAME for one, CASE=list
	@packaging/install-deps build bench
	@$(MAKE) --no-print-directory --silent all
	@OVERTIME_BUILD=$(BUILD) tests/bench/bench $(CASE)

# How far clang's analyzer follows one function. Its default of 225,000 takes three times as long.
LINT_NODES ?= 50000
lint:  ## clang-format, cppcheck, clang-tidy, and the manuals; fails on any finding
	@packaging/install-deps build lint
	@$(MAKE) --no-print-directory --silent $(MAN)
	@mandoc -T lint -W warning $(MAN)
	@for page in $(MAN); do said=$$(LC_ALL=C groff -mandoc -ww -z $$page 2>&1); \
	    [ -z "$$said" ] || { echo "$$said"; exit 1; }; done
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --enable=warning,performance,portability \
	    --suppress=missingIncludeSystem --suppress='unknownMacro:tests/unit/*' -D_GNU_SOURCE -I. $(filter %.c,$(C_FILES))
	printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P $(shell nproc) -I FILE clang-tidy --quiet FILE -- \
	    -std=c11 -D_GNU_SOURCE -I. -pthread -Xclang -analyzer-config -Xclang max-nodes=$(LINT_NODES)

format:  ## lay out all C files as .clang-format says
	@packaging/install-deps lint
	clang-format -i $(C_FILES)

WEB  ?= nginx
ONCE ?=
N    ?= 300
PORT ?=
demo:  ## the newsletter application behind nginx: WEB=apache PORT=8080; ONCE=1 N=500: one request, checked
	@packaging/install-deps build demo $(filter apache,$(WEB))
	@$(MAKE) --no-print-directory --silent all
	@packaging/demo $(BUILD) $(WEB) "$(PORT)" "$(N)" "$(filter-out 0,$(ONCE))"

# The loader finds libraries in its cache; only root can write it, and nothing runs from a DESTDIR.
LDCONFIG = @[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || PATH="$$PATH:/usr/sbin:/sbin" ldconfig

# Outside of /usr and /usr/local neither the loader nor man nor systemd looks.
OWN_PREFIX = $(filter-out /usr /usr/local,$(PREFIX))
RPATH = $(if $(OWN_PREFIX),-Wl$(COMMA)-rpath$(COMMA)$${libdir})
COMMA = ,
FUNCTIONS = $(shell sed -n 's/^\.Nm \(ot_[a-z_]*\).*/\1/p' packaging/man/overtime.3)
DOCS  = $(wildcard packaging/doc/*)
# `make install` does not start the service: systemctl enable --now overtime
UNITS = overtime.service overtime@.socket
FILL  = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|'

install: programs  ## into DESTDIR and PREFIX (/usr/local): programs, library, header, manual, units, samples
	install -d "$(DESTDIR)"$(PREFIX)/sbin "$(DESTDIR)"$(PREFIX)/bin "$(DESTDIR)"$(LIBDIR)/pkgconfig \
	    "$(DESTDIR)"$(PREFIX)/include/overtime "$(DESTDIR)"$(SYSCONFDIR)/overtime/pool.d
	install -m 755 $(BUILD)/overtime "$(DESTDIR)"$(PREFIX)/sbin/overtime
	install -m 755 $(BUILD)/overtimectl "$(DESTDIR)"$(PREFIX)/bin/overtimectl
	install -m 755 packaging/overtime-plot "$(DESTDIR)"$(PREFIX)/bin/overtime-plot
	install -D -m 755 $(BUILD)/overtime-trace "$(DESTDIR)"$(PREFIX)/libexec/overtime/overtime-trace
	install -D -m 755 $(BUILD)/overtime-status "$(DESTDIR)"$(PREFIX)/libexec/overtime/overtime-status
	install -m 644 $(BUILD)/libovertime.so "$(DESTDIR)"$(LIBDIR)/libovertime.so.$(VERSION)
	ln -sf libovertime.so.$(VERSION) "$(DESTDIR)"$(LIBDIR)/libovertime.so.$(SOVERSION)
	ln -sf libovertime.so.$(SOVERSION) "$(DESTDIR)"$(LIBDIR)/libovertime.so
	install -m 644 $(BUILD)/libovertime.a $(BUILD)/libovertime-preload.so "$(DESTDIR)"$(LIBDIR)/
	install -m 644 sapi-shim/overtime.h "$(DESTDIR)"$(PREFIX)/include/overtime.h
	install -m 644 sapi-shim/contract.h "$(DESTDIR)"$(PREFIX)/include/overtime/contract.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@RPATH@|$(RPATH)|' \
	    packaging/overtime.pc.in >"$(DESTDIR)"$(LIBDIR)/pkgconfig/overtime.pc
	for page in $(MAN); do \
	    install -D -m 644 $$page "$(DESTDIR)"$(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; done
	for name in $(FUNCTIONS); do ln -sf overtime.3 "$(DESTDIR)"$(MANDIR)/man3/$$name.3 || exit 1; done
	install -d "$(DESTDIR)"$(UNITDIR) "$(DESTDIR)"$(PREFIX)/lib/tmpfiles.d "$(DESTDIR)"$(PREFIX)/share/doc/overtime
	for unit in $(UNITS); do \
	    $(FILL) packaging/systemd/$$unit >"$(DESTDIR)"$(UNITDIR)/$$unit || exit 1; done
	$(FILL) packaging/systemd/overtime.tmpfiles >"$(DESTDIR)"$(PREFIX)/lib/tmpfiles.d/overtime.conf
	$(FILL) packaging/logrotate >"$(DESTDIR)"$(PREFIX)/share/doc/overtime/logrotate
	install -m 644 $(DOCS) "$(DESTDIR)"$(PREFIX)/share/doc/overtime/
	install -D -m 644 packaging/completion/overtimectl.bash \
	    "$(DESTDIR)"$(PREFIX)/share/bash-completion/completions/overtimectl
	install -D -m 644 packaging/completion/_overtimectl "$(DESTDIR)"$(PREFIX)/share/zsh/site-functions/_overtimectl
	# An existing configuration belongs to the operator and stays.
	for file in overtime.ini pool.d/www.ini; do \
	    [ -e "$(DESTDIR)"$(SYSCONFDIR)/overtime/$$file ] || \
	    install -m 644 conf/$$file "$(DESTDIR)"$(SYSCONFDIR)/overtime/$$file || exit 1; done
	$(LDCONFIG)
	$(if $(OWN_PREFIX),@printf '%s\n' 'configuration: $(SYSCONFDIR)/overtime/overtime.ini' 'manuals: man -M $(MANDIR) overtime' \
	    'service: systemctl link $(UNITDIR)/overtime.service' \
	    'applications: PKG_CONFIG_PATH=$(LIBDIR)/pkgconfig; the .pc file names $(LIBDIR) as run path')

uninstall:  ## remove what `make install` put there, but for the configuration
	rm -f "$(DESTDIR)"$(PREFIX)/sbin/overtime "$(DESTDIR)"$(PREFIX)/bin/overtimectl \
	    "$(DESTDIR)"$(PREFIX)/bin/overtime-plot \
	    "$(DESTDIR)"$(PREFIX)/libexec/overtime/overtime-trace \
	    "$(DESTDIR)"$(PREFIX)/libexec/overtime/overtime-status \
	    "$(DESTDIR)"$(LIBDIR)/libovertime.so "$(DESTDIR)"$(LIBDIR)/libovertime.so.$(SOVERSION) \
	    "$(DESTDIR)"$(LIBDIR)/libovertime.so.$(VERSION) "$(DESTDIR)"$(LIBDIR)/libovertime.a \
	    "$(DESTDIR)"$(LIBDIR)/libovertime-preload.so "$(DESTDIR)"$(LIBDIR)/pkgconfig/overtime.pc \
	    "$(DESTDIR)"$(PREFIX)/include/overtime.h "$(DESTDIR)"$(PREFIX)/include/overtime/contract.h
	rm -f $(FUNCTIONS:%="$(DESTDIR)"$(MANDIR)/man3/%.3) $(foreach page,$(MAN),"$(DESTDIR)"$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -f $(UNITS:%="$(DESTDIR)"$(UNITDIR)/%) "$(DESTDIR)"$(PREFIX)/lib/tmpfiles.d/overtime.conf \
	    "$(DESTDIR)"$(PREFIX)/share/doc/overtime/logrotate $(DOCS:packaging/doc/%="$(DESTDIR)"$(PREFIX)/share/doc/overtime/%) \
	    "$(DESTDIR)"$(PREFIX)/share/bash-completion/completions/overtimectl \
	    "$(DESTDIR)"$(PREFIX)/share/zsh/site-functions/_overtimectl
	-rmdir "$(DESTDIR)"$(PREFIX)/libexec/overtime "$(DESTDIR)"$(PREFIX)/include/overtime "$(DESTDIR)"$(PREFIX)/share/doc/overtime
	$(LDCONFIG)

# The same bytes for the same commit: git's archive has its time, gzip none.
DIST = $(BUILD)/overtime-$(VERSION).tar.gz
dist:  ## the sources of the last commit, as build/overtime-VERSION.tar.gz
	@mkdir -p $(BUILD)
	git archive --format=tar --prefix=overtime-$(VERSION)/ HEAD | gzip -9n >$(DIST)

deb: dist  ## Debian packages of the last commit, into build/deb/
	@packaging/install-deps build deb
	rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb
	tar -C $(BUILD)/deb -xzf $(DIST) && cp -r $(BUILD)/deb/overtime-$(VERSION)/packaging/debian $(BUILD)/deb/overtime-$(VERSION)/
	cd $(BUILD)/deb/overtime-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL DEB_BUILD_OPTIONS="parallel=$(shell nproc) noddebs" \
	    dpkg-buildpackage --no-sign --build=binary
	rm -rf $(BUILD)/deb/overtime-$(VERSION)
	lintian --fail-on error,warning $(BUILD)/deb/*.changes

deb-check: deb  ## those packages installed, upgraded, removed and purged in a root of their own; as root
	@packaging/install-deps debcheck
	packaging/deb-check $(BUILD)/deb

map:  ## the first line of every header
	@for file in sapi-shim/*.h sapi-shim/*/*.h fpm/*.h fpm/*/*.h; do \
	    sed -n "1s|^/\* [a-z_]*\.h: \(.*\)|$$file  \1|p" $$file; done | sed 's| \*/$$||' | \
	    awk -F '  ' '{ printf "%-26s %s\n", $$1, $$2 }'

clean:  ## remove build/, or BUILD
	rm -rf '$(BUILD)'

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: FORCE all unit test check long fuzz sim sim-planted bench lint format demo install uninstall dist deb deb-check programs map clean help
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
