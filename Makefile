# What people type: `make demo`, `make test`. What developers type before every commit: `make check`.
# Debian's own, where it is new enough: python3-pyzfs is for it, and it is a quarter faster than one
# that was built without profiling.
PYTHON ?= $(or $(shell /usr/bin/python3 -c \
	'import sys, ensurepip; print(*["/usr/bin/python3"] * (sys.version_info >= (3, 11)))' 2>&-),python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LAB := $(BIN)/python -m tests.lab
# A virtual environment of root's own is what is meant here: pip need not warn of it.
export PIP_ROOT_USER_ACTION := ignore
# Four processes and their children compile every module once, not each time: half of the minute.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
CYCLES ?= 200
RUNS ?= 50
SEEDS ?= 100
ROUNDS ?= 3
SEED ?= 0
DAYS ?= 0.25

# Where `make install` puts zr. WHEELS=DIRECTORY (made by `make wheels`): without a network.
PREFIX ?= /opt/zr
# Each version has a directory of its own, and PREFIX is a link that one rename puts to the next:
# whenever the power fails, what PREFIX names is whole.
VERSIONS = $(PREFIX).versions
BINDIR ?= /usr/local/bin
LIBDIR ?= /usr/local/lib
SHAREDIR ?= /usr/local/share
WHEELS ?=
PIP_FROM = $(if $(WHEELS),--no-index --find-links $(abspath $(WHEELS)))
UNITS := $(wildcard systemd/*.service)
COMPLETIONS := bash-completion/completions/zr zsh/site-functions/_zr fish/vendor_completions.d/zr.fish

.PHONY: man install uninstall wheels help demo test check format lint types layers unit long lab-build lab-test \
	soak power-loss role-chaos damage differential bench-versions bench-failover bench-retention scenarios crash-roles \
	sim sim-fresh sim-night sim-year sim-report mutants clean

help:  ## these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: lab-build  ## the story on two real nodes: record, replicate, delete, restore, crash, read on beta
	@$(BIN)/python -m tests.lab.demo

test: check long sim-report lab-build lab-test  ## everything: check, then the lab's tests on two real OpenZFS nodes

check: format lint types layers unit  ## format, lint, types, layers, unit, property, conformance on the model

format: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .

types: $(STAMP)
	@$(BIN)/mypy

layers: $(STAMP)
	@$(BIN)/lint-imports > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }

unit: $(STAMP)
	@$(BIN)/pytest -q -n 4 -m "not lab and not long" tests

long: $(STAMP)  ## what takes too much of a minute for `check`: power lost at every step of a change of roles, more seeds
	@$(BIN)/pytest -q -n 4 -m "long and not lab" tests

lab-build: $(STAMP)  ## build the lab's kernel, modules and image (cached)
	@$(LAB) build

lab-test: $(STAMP)
	@$(BIN)/pytest -q -n 2 --dist loadfile -m lab --durations=15 tests

soak: lab-build  ## CYCLES=200 random crashes, cuts and writes; every common snapshot compared
	@$(BIN)/python -m tests.lab.soak --cycles $(CYCLES)

power-loss: lab-build  ## CYCLES=100 power failures at random instants under load
	@$(BIN)/python -m tests.lab.soak --cycles $(CYCLES) --power-loss --name power

damage: lab-build  ## RUNS=50 blocks ruined beyond redundancy: each must be found and named
	@$(BIN)/python -m tests.lab.damage_runs --runs $(RUNS)

role-chaos: lab-build  ## CYCLES=50 changes of roles, each with crashes, kills or cuts at its steps
	@$(BIN)/python -m tests.lab.role_chaos --cycles $(CYCLES)

differential: lab-build  ## the model of ZFS beside the real one: random sequences through both adapters
	@$(BIN)/python -m tests.differential --sequences 500 --adapter libzfs_core --seed $(SEED)
	@$(BIN)/python -m tests.differential --sequences 100 --adapter command --seed $(SEED)

bench-versions: lab-build  ## SNAPSHOTS=10000: how long `zr versions` takes on so many, first and again
	@$(BIN)/python -m tests.lab.bench_versions $(SNAPSHOTS)

bench-failover: lab-build  ## ROUNDS=3: how long nobody serves when beta takes over, planned or not; the way back
	@$(BIN)/python -m tests.lab.bench_failover $(ROUNDS)

sim: $(STAMP)  ## SEED=n: one simulated site, exactly as it was, with its trace; DAYS=2 for a new seed; ROLES=1, FAULTS=…
	@$(BIN)/python -m tests.simulation $(if $(ROLES),--roles) $(if $(FAULTS),--faults $(FAULTS)) --seed $(SEED) --days $(DAYS) --trace

sim-fresh: $(STAMP)  ## SEEDS=100 new seeds of two days; what fails becomes a fixed seed
	@$(BIN)/python -m tests.simulation --fresh $(SEEDS)

sim-night: $(STAMP)  ## SEEDS=5000 new seeds on all cores; RESUME=FILE goes on with an earlier record
	@$(BIN)/python -m tests.simulation --night $(SEEDS) $(if $(RESUME),--resume $(RESUME))

sim-year: $(STAMP)  ## SEED=n: a year of minutes, with beta away for weeks and months; some ten minutes
	@$(BIN)/python -u -m tests.simulation --year --seed $(SEED)

scenarios: lab-build  ## the failover research's scenarios, simulated and on two real nodes, each by its number
	@$(BIN)/pytest -v -m scenario -p no:cacheprovider tests

crash-roles: $(STAMP)  ## power lost at every step of a switchover, a promotion, a rejoin, on either node
	@$(BIN)/pytest -v -n 2 tests/unit/test_role_engine_crash.py tests/property/test_switchover.py \
		tests/property/test_rejoin.py
	@$(BIN)/pytest -v -n 2 -k killed tests/simulation/test_role_scenarios_hard.py

sim-report: $(STAMP)  # a part of `make test`: it reports and records, and never fails it
	@$(BIN)/python -m tests.simulation --fresh 20 || \
		echo "New seeds failed (see above). This does not fail the tests: make each a fixed seed."

bench-retention: bench-versions  ## the same, and judging 100,000: time, memory; bzfs and sanoid
	@$(BIN)/python -m tests.bench.retention
	@$(BIN)/python -m tests.lab.bench_retention

mutants: $(STAMP)  ## deliberate bugs, each of which a seed or a test must notice
	@$(BIN)/python -m tests.simulation.mutants

install:  ## as root: zr in /opt/zr with its units and users; what runs is restarted
	@test "$$(id -u)" = 0 || { echo "make install must be run as root."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "zr needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import libzfs_core, venv, ensurepip' || \
		{ echo "Run: apt install zfsutils-linux python3-pyzfs python3-venv"; exit 1; }
	@set -e; umask 022; new=$(VERSIONS)/$$(date +%Y%m%d-%H%M%S); rm -rf $$new; \
		$(PYTHON) -m venv --system-site-packages $$new; \
		$$new/bin/pip install --quiet --disable-pip-version-check $(PIP_FROM) .; \
		sync -f $$new; ln -sfn $$new $(PREFIX).next; \
		test -L $(PREFIX) || rm -rf $(PREFIX); \
		mv -T $(PREFIX).next $(PREFIX); sync -f $(VERSIONS)
	ln -sfn $(PREFIX)/bin/zr $(BINDIR)/zr
	install -d $(LIBDIR)/systemd/system $(LIBDIR)/sysusers.d $(LIBDIR)/tmpfiles.d \
		$(SHAREDIR)/man/man8 $(addprefix $(SHAREDIR)/,$(dir $(COMPLETIONS)))
	umask 022; for unit in $(notdir $(UNITS)); do sed 's|/opt/zr/|$(PREFIX)/|' systemd/$$unit \
		>$(LIBDIR)/systemd/system/$$unit || exit 1; done
	umask 022; $(PREFIX)/bin/python -m zrepl_py.cli.manual >$(SHAREDIR)/man/man8/zr.8
	umask 022; set -- $(COMPLETIONS); for shell in bash zsh fish; do \
		$(PREFIX)/bin/zr completion $$shell >$(SHAREDIR)/$$1 || exit 1; shift; done
	install -m 644 systemd/zr.sysusers.conf $(LIBDIR)/sysusers.d/zr.conf
	install -m 644 systemd/zr.tmpfiles.conf $(LIBDIR)/tmpfiles.d/zr.conf
	systemd-sysusers $(LIBDIR)/sysusers.d/zr.conf
	systemd-tmpfiles --create $(LIBDIR)/tmpfiles.d/zr.conf
	@sync -f $(PREFIX)/ $(BINDIR) $(LIBDIR) $(SHAREDIR)
	@test ! -d /run/systemd/system || { systemctl daemon-reload && \
		systemctl try-restart 'zr-zfs@*' 'zr-receive@*' 'zr-proof@*' 'zr-host@*' zr; }
	@find $(VERSIONS) -mindepth 1 -maxdepth 1 ! -path "$$(readlink $(PREFIX))" -exec rm -rf {} +
	@echo "zr is installed in $(PREFIX). Next: zr init"

uninstall:  ## as root: takes zr away; /etc/zr, /var/lib/zr, users, snapshots and replicas stay
	@test "$$(id -u)" = 0 || { echo "make uninstall must be run as root."; exit 1; }
	@test ! -d /run/systemd/system || for unit in $$(systemctl list-units --all --plain --no-legend \
		'zr.service' 'zr-zfs@*' 'zr-receive@*' 'zr-proof@*' 'zr-host@*' | cut -d' ' -f1); do \
		systemctl disable --now "$$unit"; done
	rm -rf $(PREFIX) $(VERSIONS)
	rm -f $(SHAREDIR)/man/man8/zr.8 $(addprefix $(SHAREDIR)/,$(COMPLETIONS))
	rm -f $(BINDIR)/zr $(LIBDIR)/sysusers.d/zr.conf $(LIBDIR)/tmpfiles.d/zr.conf
	cd $(LIBDIR)/systemd/system && rm -f $(notdir $(UNITS))
	@test ! -d /run/systemd/system || systemctl daemon-reload
	@echo "zr is gone. /etc/zr, /var/lib/zr, the users zr and zr-recv, snapshots and replicas stay."

man: $(STAMP)  ## build/zr.8, the manual page, from the help texts; `make install` makes its own
	@mkdir -p build && $(BIN)/python -m zrepl_py.cli.manual >build/zr.8

wheels:  ## what `make install WHEELS=wheels` needs without a network; same Python as there
	@$(PYTHON) -m venv build/pip
	build/pip/bin/pip wheel --quiet --disable-pip-version-check --wheel-dir wheels 'setuptools>=77' .

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "zr needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
		else echo "The venv module is missing: apt install python3-venv"; exit 1; fi; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
