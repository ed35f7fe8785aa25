STACK ?= dev
DATA ?= keep
TO ?= up
GB ?= 0.4
FILES ?= 8
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
PIN := $(VENV)/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
unexport PYTHONDONTWRITEBYTECODE  # else each worker process compiles what it imports anew: 1.9 s of CPU, not 0.6 s

# The checkout's packages come before anything on the user's PYTHONPATH, where a bench.py may lie.
define FIRST
import os, pathlib, sysconfig
first = pathlib.Path(sysconfig.get_path("purelib"), "breakeven_first.pth")
first.write_text(f"import sys; sys.path.insert(0, {os.getcwd()!r})\n")
endef
export FIRST

.PHONY: help bench test test-slow test-engine recordings images test-images up down status recover plan estimate breakeven prices report benchmark pins clean
help:  ## print these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

# uv, pinned by hash, installs the rest by hash in seconds; pip alone takes minutes for the same.
$(READY): requirements.txt requirements-uv.txt pyproject.toml
	@test -x $(RUN) || { echo "making the environment in $(VENV) (once, a minute or two)"; $(PYTHON) -m venv $(VENV); }
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) --require-hashes -r requirements.txt
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps --no-build-isolation --editable .
	@$(RUN) -c "$$FIRST"
	@touch $@
bench: $(READY)  ## the main job on every engine of the embedded stack: up, data, run, table, report, down
	@$(RUN) -m stacks.embedded status --quiet --stack $(STACK) || down=yes; \
	down() { [ -z "$$down" ] || { down=; $(RUN) -m stacks.embedded down --stack $(STACK); $(RUN) -m bench.teardown; }; }; \
	trap 'exit 130' INT TERM; trap down EXIT; \
	$(RUN) -m stacks.embedded up --stack $(STACK) && \
	$(RUN) workloads/generate.py --stack $(STACK) --gb $(GB) --files $(FILES) && \
	$(RUN) workloads/ingest.py --stack $(STACK) && down && $(RUN) -m bench.report
test: $(READY)  ## every check and test
	@$(VENV)/bin/ruff check --quiet . && $(VENV)/bin/ruff format --quiet --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports
	@$(RUN) -m pytest -n 2 --dist loadfile -m "not slow_engine and not slow and not images"
test-slow: $(READY)  ## the tests of scaling and sorting clusters and of the images' steps, twenty minutes
	@$(RUN) -m pytest -m slow
test-engine: $(READY)  ## the long suite on a real Pulumi engine: up, change, refresh, destroy of the AWS and EKS stacks
	@$(RUN) -m pytest -m slow_engine tests/engine
recordings: $(READY)  ## the long suite again, and what it asked of IAM written to tests/permissions/recorded
	@BREAKEVEN_RECORD=yes $(RUN) -m pytest -m slow_engine tests/engine
images: $(READY)  ## build the images of runtimes/ with docker, podman or buildah; minutes
	@$(RUN) -m ops.images
test-images: $(READY)  ## the tests in containers of the built images: clusters, functions, probes; minutes
	@$(RUN) -m pytest -m images tests/images
up: $(READY)  ## start an embedded stack without a Pulumi engine (STACK=dev)
	@$(RUN) -m stacks.embedded up --stack $(STACK)
down: $(READY)  ## end an embedded stack; DATA=drop removes its data too
	@$(RUN) -m stacks.embedded down --stack $(STACK) --data $(DATA) && $(RUN) -m bench.teardown
status: $(READY)  ## what runs, and where
	@$(RUN) -m stacks.embedded status --stack $(STACK)
recover: $(READY)  ## after an `up` or `destroy` that was killed: a stack that is up, or (TO=nothing) gone (STACK=bench-32)
	@$(RUN) -m ops.recover --stack $(STACK) --to $(TO)
plan: $(READY)  ## what a stack holds and costs, without an account (STACK=bench-128)
	@$(RUN) -m plan --stack $(STACK)
estimate: $(READY)  ## time and cost before anything is deployed, of what the stack was made for (STACK=bench-128), or WORKLOAD=sort GB=5
	@$(RUN) -m plan.estimate --stack $(STACK) $(if $(WORKLOAD),--workload $(WORKLOAD)) \
		$(if $(filter-out file,$(origin GB)),--gb $(GB))
breakeven: $(READY)  ## at how many runs a day a cluster is as cheap as functions, from results/ or the estimate
	@$(RUN) -m bench.breakeven
prices: $(READY)  ## compare catalog/prices.csv with AWS's public list; WRITE=--write takes changes over
	@$(RUN) -m ops.refresh_prices $(WRITE)
report: $(READY)  ## write report.html from results/
	@$(RUN) -m bench.report
benchmark: $(READY)  ## the figures of benchmarks/, most of an hour on two cores
	@$(RUN) -m bench.figures && $(RUN) -m bench.figures_scaling && $(RUN) -m bench.figures_hybrid
pins: $(READY)  ## resolve pyproject.toml anew, then the images' pins from the same versions; KEEP=yes: no upgrades
	@$(PIN) pyproject.toml --all-extras --universal $(if $(KEEP),,--upgrade) -o requirements.txt
	@for i in cluster functions; do $(PIN) runtimes/$$i/requirements.in -c requirements.txt --only-binary :all: \
		--python-platform x86_64-manylinux_2_28 -o runtimes/$$i/requirements.txt || exit 1; done
clean: down  ## end the stack and remove what runs made, results included
	@rm -rf $(VENV) .breakeven results report.html
