# The two commands: `make deploy` puts Qinling on this machine, `make test` tests this collection. `make` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
# The operator's directory of `make deploy`: globals.yml, passwords.yml, config/.
KOLLA_CONFIG_DIR ?= /etc/qinling.kolla
INVENTORY ?= inventory/all-in-one
# More arguments for ansible-playbook, such as ARGS='-e qinling_api_port=17070' or ARGS=--check.
ARGS ?=

# Options of the benchmark.
BENCH ?=

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
PLAYBOOK = ansible-playbook -i $(INVENTORY) -e kolla_config_dir=$(KOLLA_CONFIG_DIR) $(ARGS)

# Each has a target of its name, as Kolla's commands are called; the playbook's file has underscores for its dashes.
PLAYBOOKS = prechecks validate-config pull reconfigure upgrade check stop genconfig deploy-containers build sample bootstrap-servers passwords \
	post-deploy kubernetes-credentials

.PHONY: help tools test-tools deploy destroy where test test-long lint unit molecule bench bench-functions clean \
	collection $(PLAYBOOKS)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make PLAYBOOK           Run one of the other playbooks: $(PLAYBOOKS)"

# Debian's python3 comes without what makes environments; root can put it there.
define environment
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV) >/dev/null || { \
		echo "Installing python3-venv, which makes Python environments"; \
		apt-get update -q >/dev/null && apt-get install -yq --no-install-recommends python3-venv >/dev/null && \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); } || { \
		echo "No Python environment could be made in $(VENV): install python3-venv." >&2; exit 1; }
	@echo "Installing the pinned tools of $(1) into $(VENV) (once for each version of the list)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $(1)
	@touch $@
endef

$(VENV)/.deploy-%:
	$(call environment,requirements.txt)

$(VENV)/.test-%:
	$(call environment,requirements-test.txt)

digest = $(shell cat $(1) | sha256sum | cut -c1-16)

tools: $(VENV)/.deploy-$(call digest,requirements.txt) ## Install the pinned tools into .venv

test-tools: $(VENV)/.test-$(call digest,requirements.txt requirements-test.txt) ## Install the test tools into .venv

deploy: tools ## Put Qinling and all that it needs on this machine, and call a sample function
	$(PLAYBOOK) playbooks/all_in_one.yml

destroy: tools ## Remove what `make deploy` made, with its data, after asking
	$(PLAYBOOK) playbooks/destroy.yml
	@echo "Kept: the Docker engine, the images and what they were built from (/var/cache/qinling-image),"
	@echo "$(KOLLA_CONFIG_DIR) (globals.yml, passwords.yml, config/), $(VENV)."

where: tools ## Tell which file sets an option: OPTION=kubernetes.kube_host, a section, or all
	@$(PLAYBOOK) -e '{"option": "$(OPTION)"}' playbooks/where.yml

$(PLAYBOOKS): tools
	$(PLAYBOOK) playbooks/$(subst -,_,$@).yml

test: test-tools ## Run every test: lint, unit tests, molecule scenarios
	@tests/run

test-long: test-tools ## Run the tests that take too long for `make test`: every supported ansible-core, a host without power
	@tests/run long

lint: test-tools ## Run the linters
	@tests/run lint

unit: test-tools ## Run the unit tests (those of the images' packages in the images)
	@tests/run unit package

molecule: test-tools ## Run the molecule scenarios
	@tests/run molecule

bench: test-tools ## Compare this collection with Kolla Ansible, and write bench/results/benchmark.md: BENCH='--hosts real --runs 1', BENCH=--help
	@python bench/bench.py $(BENCH)

bench-functions: test-tools ## Measure functions of a running deployment (KOLLA_CONFIG_DIR), and write bench/results/benchmark-functions.md; LABEL= names the run
	@cd bench && python -m functions --config-dir $(abspath $(KOLLA_CONFIG_DIR)) --label "$(LABEL)" $(BENCH_ARGS)

collection: tools ## Build the tarball that ansible-galaxy installs
	ansible-galaxy collection build --force

clean: ## Remove the tools and caches of this checkout (not a deployment)
	rm -rf $(VENV) .cache .ansible .mypy_cache .ruff_cache .pytest_cache qinling-kolla-*.tar.gz
