# `make deploy` deploys Qinling on this host, `make test` tests this collection, `make` lists all commands.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
# The operator's directory: globals.yml, passwords.yml, config/.
KOLLA_CONFIG_DIR ?= /etc/qinling.kolla
INVENTORY ?= inventory/all-in-one
# Additional arguments of ansible-playbook, such as ARGS='-e qinling_api_port=17070' or ARGS=--check.
ARGS ?=

# Options of the benchmark.
BENCH ?=

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# One line for each step; ARGS=-v for Ansible's own output.
CALLBACK ?= qinling.kolla.steps
PLAYBOOK = ANSIBLE_STDOUT_CALLBACK=$(CALLBACK) ansible-playbook -i $(INVENTORY) -e kolla_config_dir=$(KOLLA_CONFIG_DIR) $(ARGS)

# Targets named after Kolla's commands; the file names of the playbooks have underscores instead of dashes.
PLAYBOOKS = prechecks validate-config pull reconfigure upgrade check stop genconfig deploy-containers build sample bootstrap-servers passwords \
	post-deploy kubernetes-credentials

.PHONY: help tools test-tools deploy destroy where test test-long lint unit sanity matrix molecule bench bench-functions clean \
	docsite collection $(PLAYBOOKS)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make PLAYBOOK           Run one of the other playbooks: $(PLAYBOOKS)"

# Debian's python3 cannot create virtual environments without python3-venv, which root can install.
define environment
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV) >/dev/null || { \
		echo "Installing python3-venv, which creates virtual environments"; \
		apt-get update -q >/dev/null && apt-get install -yq --no-install-recommends python3-venv >/dev/null && \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); } || { \
		echo "$(VENV): cannot create a virtual environment; install python3-venv" >&2; exit 1; }
	@echo "Installing the pinned tools of $(1) into $(VENV) (once per version of the list)"
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

deploy: tools ## Deploy Qinling and its backing services on this host, and call a sample function
	$(PLAYBOOK) playbooks/all_in_one.yml

destroy: tools ## Remove the deployment of `make deploy` with its data, after confirmation
	$(PLAYBOOK) playbooks/destroy.yml
	@echo "Retained: the Docker engine, the images and their build directory (/var/cache/qinling-image),"
	@echo "$(KOLLA_CONFIG_DIR) (globals.yml, passwords.yml, config/), $(VENV)."

where: tools ## Show which file sets an option: OPTION=kubernetes.kube_host, a section, or all
	@$(PLAYBOOK) -e '{"option": "$(OPTION)"}' playbooks/where.yml

$(PLAYBOOKS): tools
	$(PLAYBOOK) playbooks/$(subst -,_,$@).yml

test: test-tools ## Run all tests except test-long: linters, sanity and unit tests, molecule scenarios
	@tests/run

test-long: test-tools ## Run the slow tests: matrix, drivers on real nodes, all ansible-core versions on one deployment, restarts of a host
	@tests/run matrix long

lint: test-tools ## Run the linters
	@tests/run lint

unit: test-tools ## Run the unit tests with line coverage (in the images for the packages of the images)
	@tests/run unit package

sanity: test-tools ## Run ansible-test sanity, with all Python versions of PATH and pyenv that Ansible supports
	@tests/run sanity

matrix: test-tools ## Run unit, syntax and sanity tests with the supported versions of ansible-core and Python that this host has
	@tests/run matrix

molecule: test-tools ## Run the molecule scenarios
	@tests/run molecule

bench: test-tools ## Compare this collection with Kolla Ansible and write bench/results/benchmark.md: BENCH='--hosts real --runs 1', BENCH=--help
	@python bench/bench.py $(BENCH)

bench-functions: test-tools ## Measure functions of a deployment (KOLLA_CONFIG_DIR) and write bench/results/benchmark-functions.md: LABEL=name
	@cd bench && python -m functions --config-dir $(abspath $(KOLLA_CONFIG_DIR)) --label "$(LABEL)" $(BENCH_ARGS)

docsite: test-tools ## Build the documentation as a website in .cache/docsite/html
	@docs/docsite/build.sh

collection: tools ## Build the tarball for ansible-galaxy
	ansible-galaxy collection build --force

clean: ## Remove the tools and caches of this checkout (not a deployment)
	rm -rf $(VENV) .cache .ansible .mypy_cache .ruff_cache .pytest_cache qinling-kolla-*.tar.gz
