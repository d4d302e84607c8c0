# SPDX-License-Identifier: LGPL-2.1-or-later
# One Makefile for everything; all output goes to build/.
#
#   make                 the programs              make demo      a demonstration (installs missing packages)
#   make check           all tests                 make bench     speed compared with other programs
#   make install         PREFIX= DESTDIR=          make fuzz      fuzz targets, FUZZ_SECONDS each
#   make lint            format, layers, cppcheck  make clean
#   make unit            the unit tests alone      make compile_commands.json
#   make deb             Debian packages           make dist      a source archive for other packages
#   make help            this list
#
#   V=1 shows commands; SAN=address,undefined or SAN=thread builds with sanitizers, apart from the rest;
#   TESTS="10-raw unit" of make check runs only these; SEED=N repeats a run.

VERSION := 0.2.0

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
COMPDIR    ?= $(PREFIX)/share/bash-completion/completions
# zsh of Debian does not search /usr/share/zsh/site-functions.
ZSHDIR     ?= $(or $(if $(filter /usr,$(PREFIX)),$(wildcard /usr/share/zsh/vendor-completions)),$(PREFIX)/share/zsh/site-functions)
# fish searches /usr/local/share only if it is in XDG_DATA_DIRS.
FISHDIR    ?= $(if $(filter /usr/local,$(PREFIX)),$(fish_dir),$(PREFIX)/share/fish/vendor_completions.d)
fish_dir = $(or $(shell $(PKG_CONFIG) --variable=completionsdir fish 2>/dev/null),/usr/share/fish/vendor_completions.d)
# mount(8) searches the program of a type, mount.TYPE, only in /sbin, whatever PREFIX is, and only root can install there.
# A package (DESTDIR) has it in /usr/sbin, because it must not replace the link /sbin by a directory; MOUNTDIR=/sbin is for
# systems on which these are two directories.  MOUNTDIR= installs none: then only -t fuse.vdiskfs works, by mount.fuse3.
MOUNTDIR   ?= $(if $(DESTDIR),/usr/sbin,$(if $(filter 0,$(shell id -u)),/sbin))
# nbdkit searches plugins in one directory, whatever PREFIX is, and only root can install there; vdisk serve also searches
# that below PREFIX.  NBDKITDIR= installs no plugin.
NBDKITDIR  ?= $(if $(or $(DESTDIR),$(filter 0,$(shell id -u))),$(nbdkit_dir),$(PREFIX)/lib/nbdkit/plugins)
nbdkit_dir  = $(shell $(PKG_CONFIG) --variable=plugindir nbdkit 2>/dev/null)
APPDIR     ?= $(PREFIX)/share/applications
INSTALL    ?= install
PKG_CONFIG ?= pkg-config
CLANG      ?= clang
FUZZ_SECONDS ?= 60

ifeq ($(origin CC),default)
CC := gcc
endif

comma := ,
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

LIBLIBS  := blkid json-c zlib libzstd libdeflate expat libcrypto libargon2
LIBS     := fuse3 $(LIBLIBS)
# Only its header is needed: the library is loaded when a server is connected.
LIBNBD   := $(shell $(PKG_CONFIG) --atleast-version=1.14 libnbd 2>/dev/null && $(PKG_CONFIG) --cflags libnbd && echo -DHAVE_LIBNBD)
UNITLIBS := check

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
	-Wpointer-arith -Wundef -Wformat=2 -Wcast-align -Wold-style-definition -Wnested-externs
CFLAGS   ?= -O2 -g
ALL_CPPFLAGS = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=312 -iquote formats $(LIBNBD) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(WARN) $(WERROR) -fno-strict-overflow -fstack-protector-strong -pthread \
	$(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
library_cflags := -fPIC -fvisibility=hidden
ALL_LDFLAGS = -pthread $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

# Leaves the name of the directory out of the objects, so that a build has the same bytes everywhere.
prefix_map = '-ffile-prefix-map=$(CURDIR)=.'

# Evaluated only when something is built, so that "make demo" can install pkg-config itself.
pkg_cflags = $(eval pkg_cflags := $$(shell $(PKG_CONFIG) --cflags $(LIBS)))$(pkg_cflags)
pkg_libs   = $(eval pkg_libs := $$(shell $(PKG_CONFIG) --libs $(LIBS)))$(pkg_libs) -ldl
lib_libs   = $(eval lib_libs := $$(shell $(PKG_CONFIG) --libs $(LIBLIBS)))$(lib_libs) -ldl
unit_cflags = $(eval unit_cflags := $$(shell $(PKG_CONFIG) --cflags $(UNITLIBS)))$(unit_cflags)
unit_libs   = $(eval unit_libs := $$(shell $(PKG_CONFIG) --libs $(UNITLIBS)))$(unit_libs)

FORMATS := $(sort $(shell find formats -name '*.c' $(if $(LIBNBD),,! -path '*/nbd/*' -o -name none.c)))
API     := $(filter formats/api/%,$(FORMATS))
FUSE    := $(sort $(shell find fuse -name '*.c'))
# Linked into the unit tests.
TREE    := $(wildcard fuse/base/*.c fuse/tree/*.c) fuse/daemon/seccomp.c fuse/ops/readahead.c
TOOLS   := $(sort $(shell find tools -name '*.c' ! -path 'tools/nbdkit/*'))
UNIT    := $(sort $(shell find tests/unit -name '*.c' $(if $(LIBNBD),,! -path '*/nbd/*'))) $(addprefix tests/images/,luks-make.c luks2-make.c md-make.c)
IMAGES  := $(wildcard tests/images/*.c)
SHIM    := tests/mount/failread.c tests/mount/killwrite.c
COUNT   := tests/bench/count.c # linked with the library
STRESS  := $(wildcard tests/mount/stress-jobs/*.c)
FLOOR   := tests/bench/floor.c # needs libfuse; by make bench alone
HELPERS := $(filter-out $(SHIM) $(COUNT) $(FLOOR),$(wildcard tests/mount/*.c tests/bench/*.c))
FUZZ    := $(filter-out $(if $(LIBNBD),,%_nbd.c),$(wildcard tests/fuzz/fuzz_*.c))

obj = $(patsubst %.c,$(B)/%.o,$(1))
LIB := $(B)/libvdisk.a
SONAME := libvdisk.so.0
PROGRAMS := $(B)/vdiskfs $(B)/vdisk
# Built where nbdkit's header is.
PLUGIN := $(if $(shell $(PKG_CONFIG) --exists 'nbdkit >= 1.30' 2>/dev/null && echo yes),$(B)/nbdkit-vdisk-plugin.so)
PLUGINSRC := $(wildcard tools/nbdkit/*.c)
MAN1 := $(filter-out $(if $(PLUGIN),,%-plugin.1),$(wildcard man/*.1))
TESTPROGRAMS := $(B)/unit $(B)/mkimage $(COUNT:%.c=$(B)/%) $(patsubst %.c,$(B)/%,$(HELPERS)) \
	$(patsubst %.c,$(B)/%.so,$(SHIM))

all: $(PROGRAMS) $(B)/$(SONAME) $(PLUGIN)

$(B)/vdiskfs: $(call obj,$(FUSE)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs) -Wl,--push-state,--no-as-needed -lgcc_s -Wl,--pop-state

$(B)/vdisk: $(call obj,$(TOOLS)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs)

$(LIB): $(call obj,$(FORMATS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

# Without its link libvdisk.so in $(B), "-lvdisk" there is the archive, by which all programs of the tree are linked.
$(B)/$(SONAME): $(call obj,$(API)) $(LIB) formats/api/libvdisk.map
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,-soname,$(SONAME),--version-script=formats/api/libvdisk.map \
		$(if $(SAN),,-Wl$(comma)-z$(comma)defs) -o $@ $(filter %.o %.a,$^) $(lib_libs)

# It has the library in it, so that it runs from any directory, and exports plugin_init alone.  nbdkit has its other symbols.
$(B)/nbdkit-vdisk-plugin.so: $(call obj,$(PLUGINSRC)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $^ $(lib_libs)

$(B)/unit: $(call obj,$(UNIT) $(TREE)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(unit_libs) $(pkg_libs)

$(COUNT:%.c=$(B)/%): $(call obj,$(COUNT)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs)

$(FLOOR:%.c=$(B)/%): $(call obj,$(FLOOR))
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs)

$(B)/mkimage: $(call obj,$(IMAGES))
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs)

$(B)/tests/mount/stress: $(call obj,$(STRESS))
$(patsubst %.c,$(B)/%,$(HELPERS)): $(B)/%: $(B)/%.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(HELPER_LIBS)
$(B)/tests/bench/slow: HELPER_LIBS = $(pkg_libs)

# Preloaded into the program under test, which is linked with the sanitizers; so these are built without.
$(patsubst %.c,$(B)/%.so,$(SHIM)): $(B)/%.so: %.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) $(WERROR) $(CFLAGS) -D_GNU_SOURCE -fPIC -shared -o $@ $<

$(B)/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(prefix_map) $(ALL_CPPFLAGS) $(pkg_cflags) -MMD -MP -c -o $@ $<

# Rewritten when a flag changes that affects the objects; WERROR does not.
flags := $(CC) $(filter-out $(WERROR),$(ALL_CFLAGS)) $(library_cflags) $(ALL_CPPFLAGS)
$(B)/flags: export FLAGS := $(flags)
$(B)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' "$$FLAGS" | cmp -s - $@ || printf '%s\n' "$$FLAGS" > $@
FORCE:

# Rewritten when the version, tag or commit changes; only one object is compiled then.
$(B)/version: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)git=$$([ ! -e .git ] || GIT_OPTIONAL_LOCKS=0 git --git-dir=.git describe --tags --always --abbrev=7 --dirty \
		2>/dev/null | tr -cd 'A-Za-z0-9._+/-'); version="$(VERSION)$${git:+ ($$git)}"; \
		printf '%s\n' "$$version" | cmp -s - $@ || printf '%s\n' "$$version" > $@
$(B)/formats/util/version.o build/fuzz/formats/util/version.o: $(B)/version
$(B)/formats/util/version.o build/fuzz/formats/util/version.o: \
	ALL_CPPFLAGS += -DVDISK_VERSION="\"$$(cat $(B)/version)\""

compile_commands.json: FORCE
	$(call say,JSON,$@)
	$(Q)$(make) -Bn V=1 tests-build | awk -v dir='$(CURDIR)' ' \
		/ -c -o / { gsub(/["\\]/, "\\\\&"); printf "%s{\"directory\": \"%s\", \"file\": \"%s\", \"command\": \"%s\"}", \
			n++ ? ",\n" : "[\n", dir, $$NF, $$0 } \
		END { print "\n]" }' > $@

# Hidden symbols are called directly in the shared library, too.
$(call obj,$(filter-out $(API),$(FORMATS))): ALL_CFLAGS += $(library_cflags)
$(call obj,$(API)): ALL_CFLAGS += -fPIC
$(call obj,$(PLUGINSRC)): ALL_CFLAGS += $(library_cflags) $(shell $(PKG_CONFIG) --cflags nbdkit 2>/dev/null)
$(call obj,$(FUSE)): ALL_CPPFLAGS += -iquote fuse
$(call obj,$(TOOLS)): ALL_CPPFLAGS += -iquote tools
$(call obj,$(UNIT)): ALL_CPPFLAGS += -iquote $(B)/gen -iquote tests/unit -iquote fuse -iquote tests/images
$(call obj,$(UNIT)): ALL_CFLAGS += $(unit_cflags)
$(call obj,$(UNIT)): | $(B)/gen/suites.h

# Every check_NAME.c below tests/unit/ defines "Suite *NAME_suite(void)".
CHECKS := $(foreach f,$(UNIT),$(if $(filter check_%,$(notdir $f)),$f))
SUITES := $(sort $(patsubst check_%.c,%,$(notdir $(CHECKS))))
$(B)/gen/suites.h: $(CHECKS)
	$(Q)mkdir -p $(@D)
	$(Q)printf 'SUITE(%s)\n' $(SUITES) > $@

# Fuzz targets have their own build of the library, with coverage.
FUZZ_CFLAGS := -std=gnu11 -O1 -g -fno-sanitize-recover=undefined -pthread
FUZZ_BIN := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ))
FUZZ_LIB := $(patsubst %.c,build/fuzz/%.o,$(FORMATS))
fuzz-build: $(FUZZ_BIN)
$(FUZZ_BIN): build/fuzz/%: build/fuzz/tests/fuzz/%.o $(FUZZ_LIB)
	$(call say,LINK,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(pkg_libs)
# It builds its volumes as the unit tests do.
build/fuzz/fuzz_bitlocker: build/fuzz/tests/unit/build/bitlocker.o build/fuzz/tests/images/luks-make.o
build/fuzz/tests/unit/build/bitlocker.o: ALL_CPPFLAGS += -iquote tests/images
build/fuzz/%.o: %.c
	$(call say,FUZZCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined $(ALL_CPPFLAGS) $(pkg_cflags) \
		-MMD -MP -c -o $@ $<

# make -n runs a line that has $(MAKE) in it; these programs are more than a make.
make := $(MAKE)
fuzz: ; @tests/fuzz/run '$(make)' $(FUZZ_SECONDS)

unit: $(B)/unit
	$(Q)CK_TIMEOUT_MULTIPLIER=$${CK_TIMEOUT_MULTIPLIER:-15} $(B)/unit

tests-build: all $(TESTPROGRAMS)

check: ; @tests/check '$(make)' '$(SAN)'
demo:  ; @tests/demo '$(make)'
bench: ; @tests/bench/run '$(make)'

lint:
	@tests/packages lint
	$(Q)$(MAKE) -s all
	tests/layers
	@echo tests/cycles of each program
	@tests/cycles $(call obj,$(FORMATS) $(FUSE))
	@tests/cycles $(call obj,$(FORMATS) $(TOOLS))
	$(if $(PLUGIN),@tests/cycles $(call obj,$(FORMATS) $(PLUGINSRC)))
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	cppcheck -q --enable=warning,portability --suppress=ctuuninitvar --error-exitcode=1 -Iformats -Ifuse -Itools formats fuse tools
	mandoc -T lint -W warning man/*.[1-9]

# A package does this when it is installed.
update_applications = $(if $(DESTDIR),,@! command -v update-desktop-database >/dev/null || update-desktop-database -q "$(APPDIR)")

install: all
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man5" \
		"$(DESTDIR)$(MANDIR)/man3" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)" \
		"$(DESTDIR)$(COMPDIR)" "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)" "$(DESTDIR)$(APPDIR)"
	$(INSTALL) -m 755 $(PROGRAMS) "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 644 $(B)/$(SONAME) "$(DESTDIR)$(LIBDIR)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libvdisk.so"
	$(INSTALL) -m 644 formats/api/vdisk.h "$(DESTDIR)$(INCLUDEDIR)"
	sed 's,@prefix@,$(PREFIX),; s,@libdir@,$(LIBDIR),; s,@includedir@,$(INCLUDEDIR),; s,@version@,$(VERSION),' \
		formats/api/libvdisk.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/libvdisk.pc"
	$(INSTALL) -m 644 $(MAN1) "$(DESTDIR)$(MANDIR)/man1"
	$(INSTALL) -m 644 man/*.3 "$(DESTDIR)$(MANDIR)/man3"
	$(INSTALL) -m 644 man/*.5 "$(DESTDIR)$(MANDIR)/man5"
	$(INSTALL) -m 644 fuse/vdiskfs.bash-completion "$(DESTDIR)$(COMPDIR)/vdiskfs"
	$(INSTALL) -m 644 tools/packaging/vdiskfs.desktop "$(DESTDIR)$(APPDIR)"
	$(update_applications)
	$(B)/vdisk completion bash > "$(DESTDIR)$(COMPDIR)/vdisk"
	$(B)/vdisk completion zsh > "$(DESTDIR)$(ZSHDIR)/_vdisk"
	$(B)/vdisk completion fish > "$(DESTDIR)$(FISHDIR)/vdisk.fish"
ifneq ($(MOUNTDIR),)
	$(INSTALL) -d "$(DESTDIR)$(MOUNTDIR)"
	ln -sf "$(BINDIR)/vdiskfs" "$(DESTDIR)$(MOUNTDIR)/mount.vdiskfs"
	ln -sf "$(BINDIR)/vdiskfs" "$(DESTDIR)$(MOUNTDIR)/mount.fuse.vdiskfs"
endif

ifneq ($(and $(PLUGIN),$(NBDKITDIR)),)
	$(INSTALL) -d "$(DESTDIR)$(NBDKITDIR)"
	$(INSTALL) -m 755 $(PLUGIN) "$(DESTDIR)$(NBDKITDIR)"
endif

uninstall:
	rm -f $(foreach f,$(notdir $(PROGRAMS)),"$(DESTDIR)$(BINDIR)/$f") \
		$(foreach f,$(notdir $(wildcard man/*.1)),"$(DESTDIR)$(MANDIR)/man1/$f") \
		$(foreach f,$(notdir $(wildcard man/*.3)),"$(DESTDIR)$(MANDIR)/man3/$f") \
		$(foreach f,$(notdir $(wildcard man/*.5)),"$(DESTDIR)$(MANDIR)/man5/$f") \
		$(foreach f,$(SONAME) libvdisk.so pkgconfig/libvdisk.pc,"$(DESTDIR)$(LIBDIR)/$f") \
		"$(DESTDIR)$(INCLUDEDIR)/vdisk.h" \
		"$(DESTDIR)$(COMPDIR)/vdiskfs" "$(DESTDIR)$(COMPDIR)/vdisk" \
		"$(DESTDIR)$(ZSHDIR)/_vdisk" "$(DESTDIR)$(FISHDIR)/vdisk.fish" "$(DESTDIR)$(APPDIR)/vdiskfs.desktop" \
		$(if $(MOUNTDIR),$(foreach f,mount.vdiskfs mount.fuse.vdiskfs,"$(DESTDIR)$(MOUNTDIR)/$f")) \
		$(if $(PLUGIN),$(if $(NBDKITDIR),"$(DESTDIR)$(NBDKITDIR)/$(notdir $(PLUGIN))"))
	$(update_applications)

# The source archive has the same bytes in every checkout of a commit.
SOURCE := LICENSE Makefile README.md formats fuse man tests tools
changelog := tools/packaging/debian/changelog
NAME := vdiskfs-$(VERSION)
dist: build/$(NAME).tar.gz
build/$(NAME).tar.gz: FORCE
	$(call say,TAR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)date=$${SOURCE_DATE_EPOCH:-$$(date -d "$$(sed -n '/^ -- /{s/.*>  //p;q}' $(changelog))" +%s)} && \
		tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX --mtime="@$$date" \
			--transform='s,^,$(NAME)/,' -c $(SOURCE) | gzip -9n > $@

# Options and jobs of this make are none of the package's.
deb: dist
	$(Q)rm -rf build/deb && mkdir -p build/deb && tar -xf build/$(NAME).tar.gz -C build/deb
	$(Q)cp -R tools/packaging/debian build/deb/$(NAME)/debian
	$(Q)cd build/deb/$(NAME) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u V dpkg-buildpackage -us -uc $(DEBFLAGS)
	$(Q)ls build/deb/*.deb

clean:
	rm -rf build

help: ; @sed -n 's/^#  //p' Makefile

.PHONY: all unit tests-build check demo bench fuzz fuzz-build lint install uninstall dist deb clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
-include $(patsubst %.c,build/fuzz/%.d,$(FORMATS) $(FUZZ))
-include $(patsubst %.o,%.d,$(call obj,$(FORMATS) $(FUSE) $(TOOLS) $(UNIT) $(IMAGES) $(HELPERS) $(STRESS) \
	$(COUNT) $(FLOOR) $(PLUGINSRC)))
