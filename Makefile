# Overtime: `make help` lists what can be done here.
PREFIX   ?= /usr/local
BUILD    ?= build
CC       ?= cc
SAN      ?= 0

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
       -Wformat=2 -Wundef -Wvla -Wwrite-strings -Werror
# libev's watcher types alias each other by design.
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g -fno-strict-aliasing -fstack-protector-strong $(WARN) -I.
ifeq ($(SAN),1)
BUILD := $(BUILD)/san
BASE_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif

SHIM_SRC = $(wildcard sapi-shim/*.c)
FPM_SRC  = $(filter-out fpm/overtimectl.c,$(wildcard fpm/*.c))
CTL_SRC  = fpm/overtimectl.c
APP_SRC  = $(wildcard tests/apps/*.c) $(wildcard conf/demo/*.c)
UNIT_SRC = $(wildcard tests/unit/test_*.c)

SHIM_OBJ = $(SHIM_SRC:%.c=$(BUILD)/obj/%.o)
FPM_OBJ  = $(FPM_SRC:%.c=$(BUILD)/obj/%.o)
CTL_OBJ  = $(CTL_SRC:%.c=$(BUILD)/obj/%.o)
APPS     = $(APP_SRC:%.c=$(BUILD)/apps/%)
UNIT     = $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
LIBS     = $(BUILD)/libovertime.so $(BUILD)/libovertime.a $(BUILD)/libovertime-preload.so

all: $(BUILD)/overtime $(BUILD)/overtimectl $(LIBS) $(APPS)

# The shim is position independent and shows only what overtime.h and libfcgi's own names declare.
$(BUILD)/obj/sapi-shim/%.o: sapi-shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -fPIC -fvisibility=hidden -pthread -MMD -MP -c $< -o $@
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/overtime: $(FPM_OBJ) $(BUILD)/obj/sapi-shim/slot.o
	$(CC) $(LDFLAGS) $^ -lev -linih -o $@
$(BUILD)/overtimectl: $(CTL_OBJ)
	$(CC) $(LDFLAGS) $^ -o $@
$(BUILD)/libovertime.so: $(SHIM_OBJ)
	$(CC) $(LDFLAGS) -shared -Wl,-soname,libovertime.so.0 -pthread $^ -Wl,--no-as-needed -lfcgi -ldl -o $@
	ln -sf libovertime.so $(BUILD)/libovertime.so.0
$(BUILD)/libovertime-preload.so: $(SHIM_OBJ)
	$(CC) $(LDFLAGS) -shared -pthread $^ -Wl,--no-as-needed -lfcgi -ldl -o $@
$(BUILD)/libovertime.a: $(SHIM_OBJ)
	rm -f $@
	ar rcs $@ $^
$(BUILD)/apps/%: %.c $(BUILD)/libovertime.so
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -pthread -MMD -MP $(LDFLAGS) $< -L$(BUILD) -lovertime -lfcgi -o $@
$(BUILD)/unit/%: tests/unit/%.c $(filter-out %/main.o,$(FPM_OBJ)) $(SHIM_OBJ)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -pthread -MMD -MP $(LDFLAGS) $^ -lcriterion -lev -linih -lfcgi -ldl -o $@

clean:
	rm -rf build
.PHONY: all clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
