# Thin: each target says in one line what it does, and the work is done where it belongs.

# The profile of tools and tests. `make test` takes quick: it takes longer to build than dev, and leaves time for the simulator's whole.
PROFILE = dev
export USHER_PROFILE = $(PROFILE)
of_profile = --locked --profile $(1) --workspace --features usher-testkit/machines
WORKSPACE = $(call of_profile,$(PROFILE))
# A program of the tests. Always with the features of the whole workspace: for a package alone, cargo would choose others and build nearly
# all a second time.
kit = cargo build --quiet $(WORKSPACE) --bin $(1) && target/$(PROFILE:dev=debug)/$(1)

# The simulator's whole: sweeps that leave nothing out, and this many random histories.
SIM = USHER_SIM_HISTORIES=$(1) cargo test $(call of_profile,quick) --test sim

.PHONY: help demo test sim soak bed bed-down bench bench-scale docs lint contract puppet prometheus page build packages machines deb deb-check release

help:           ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

# The agent is on every machine, day and night: built for size alone, it keeps half a MiB less in memory.
build:          ## Build usher and usher-agent, as shipped
	cargo build --locked --release -p usher-coordinator
	CARGO_PROFILE_RELEASE_OPT_LEVEL=$(or $(CARGO_PROFILE_RELEASE_OPT_LEVEL),z) cargo build --locked --release -p usher-agent

demo: build     ## Run the main job and the rest of a shift on a sandbox: no root, no set-up, a minute after the build
	$(call kit,sandbox) demo

packages:       ## Install the Debian packages that the real machines need
	./tests/machines/packages.sh

# On their own: these take long the first time, and a test shows its output only once it has failed.
machines: packages  ## Build what the real machines and their benchmarks run, once, into a cache
	./tests/machines/rootfs.sh >/dev/null
	./tests/machines/binaries.sh >/dev/null
	./tests/machines/kwok.sh >/dev/null
	./tests/machines/helmfile.sh >/dev/null

docs:           ## Write what is generated: examples, references, schemas, man pages, completions
	$(call kit,docs)

lint:           ## Formatting, clippy, docs, generated pages, licences, exposure of the agent's unit
	cargo fmt --check
	cargo clippy --locked --profile $(PROFILE) --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --profile $(PROFILE) --workspace --no-deps --document-private-items
	$(call kit,docs) --check
	./tests/deny.sh
	systemd-analyze security --offline=true --threshold=13 packaging/systemd/usher-agent.service >/dev/null 2>&1

contract:       ## That agents and coordinators of the last release are still understood
	./tests/contract.sh

puppet:         ## The Puppet module: syntax, lint, rspec, its reference; installs Debian's tools for it
	./tests/puppet.sh

prometheus:     ## Metrics, alerts and the dashboard, with promtool and Grafana's own schema
	./tests/prometheus.sh

page:           ## The page of `usher report` in a headless Chromium; pictures in target/pages
	./tests/page.sh

# The real machines run this build, with its checks of overflows and assertions. They are ended when all is well, and left as they are to
# be looked at when it is not.
test: PROFILE = quick
test: export USHER_BIN_DIR = $(CURDIR)/target/$(PROFILE)
test: export USHER_SIM_HISTORIES = 1000
test: packages lint contract puppet prometheus page machines  ## Every test: unit, doubles, the simulator, Puppet, Prometheus, a browser, the real API server, the real machines
	cargo build $(WORKSPACE) --bins
	cargo test $(WORKSPACE) --no-fail-fast
	cargo test --locked --profile $(PROFILE) -p usher-coordinator --features otel --lib traces::
	$(call kit,bed) down

sim:            ## The deterministic simulator: every point at which something can go wrong, and 1,000 random histories
	$(call SIM,1000)

soak:           ## The same with 10,000 random histories; half an hour on two processors after the build
	$(call SIM,10000)

bed: build machines  ## Start five real machines with a real cluster, and say how to use them
	$(call kit,bed) up

bed-down:       ## End the machines of `make bed`
	$(call kit,bed) down

bench: build bench-scale machines  ## Measure with five thousand nodes in memory and on the real machines; writes target/bench/results.json
	cargo bench $(call of_profile,quick) --bench machines

bench-scale: build  ## Measure with five thousand nodes in memory alone: no root, some minutes
	cargo bench $(call of_profile,quick) --bench scale

# Not part of `make test`: the build alone takes as long as all tests together.
deb:            ## Build the Debian packages in a clean Debian without network, into target/deb; as root
	./packaging/deb.sh

deb-check:      ## Check the packages of `make deb`: lintian, reproducibility, piuparts, autopkgtest; as root
	./packaging/check.sh

release:        ## Make the files of a release: source, packages, bills of materials, checksums; as root
	./packaging/release.sh
