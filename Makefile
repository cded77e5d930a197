# The two commands are `make book` and `make test`. Each sets up what it needs, in .venv.
PYTHON ?= python3
EDITION ?= demo
EDITIONS ?= demo open
PROFILE ?= local

.PHONY: help book data weights kernels rehearsal study site sweep test test-all test-site lint bench sync phantom-report clean FORCE
.DEFAULT_GOAL := help

help:
	@echo "make book   render an edition: make book EDITION=$(EDITION) (PROFILE=slurm on a cluster)"
	@echo "make data   bring an edition's images: make data EDITION=paper (ONLY=jackson20, LIST=1, DROP=1)"
	@echo "make study  look a folder of yours over and write its edition: make study FROM=/path/to/folder NAME=spleen"
	@echo "make site   put editions together into one site: make site EDITIONS=\"$(EDITIONS)\""
	@echo "make sweep  run a notebook over many parameters: make sweep NAME=channels EDITION=$(EDITION)"
	@echo "make test   run the tests, on an edition that has every page at its smallest"
	@echo "make test-all   run them, and those that take long: the demo and the open edition whole"
	@echo "make test-site  look at every page of all editions with a browser, which makes them first"
	@echo "make rehearsal  make the paper edition from a small imitation of its records, without the internet"
	@echo "make lint   check format, style and types"
	@echo "make sync   bring chapters/*.ipynb in step with chapters/*.py"
	@echo "make bench  time our metrics beside other tools', and what we add to a model's time"
	@echo "make weights-MODEL  download the published weights of a model (models: data_manifest/models.yml)"
	@echo "make weights EDITION=$(EDITION)   download those of all models of an edition"
	@echo "make kernel-NAME    make a kernel for models with needs of their own, from envs/NAME.yml"
	@echo "make kernels EDITION=$(EDITION)   make those that the models of an edition need"
	@echo "make phantom-report   measure the phantom again, for the pages that show it"
	@echo "make clean  remove what runs made; data, weights, kernels and .venv stay"
	@echo "PYTHON=python3.12 make …  selects the Python that .venv is made from (3.11 or newer)"

# `exec`: make's child is then the run itself, which ends when make is gone.
book: .venv/.installed
	@exec .venv/bin/python workflow/scripts/run.py "$(EDITION)" --profile "$(PROFILE)"

data: .venv/.installed
	@exec .venv/bin/python workflow/scripts/get_data.py "$(EDITION)" --only "$(ONLY)" $(if $(LIST),--list) $(if $(DROP),--drop)

study: .venv/.installed
	@test -n "$(FROM)" || { echo "Name your folder: make study FROM=/path/to/folder NAME=spleen"; exit 2; }
	@exec .venv/bin/python -m imc_helpers.own_study.proposal "$(FROM)" --name "$(NAME)"

site: .venv/.installed
	@exec .venv/bin/python workflow/scripts/make_site.py $(EDITIONS) --profile "$(PROFILE)"

sweep: .venv/.installed
	@test -n "$(NAME)" || { echo "Name a sweep, a file sweeps/NAME.yml: make sweep NAME=channels"; exit 2; }
	@exec .venv/bin/python workflow/scripts/run.py "$(EDITION)" --sweep "$(NAME)" --profile "$(PROFILE)"

test: .venv/.installed
	@exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-all: .venv/.installed
	@exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "full or not full"

test-site: .venv/.installed
	@exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "site and (full or not full)"

rehearsal: .venv/.installed
	@exec .venv/bin/python tests/rehearsal/rehearse.py $(if $(WEIGHTS),--weights)

lint: .venv/.installed
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: .venv/.installed
	@"$(PYTHON)" benchmarks/install.py
	@OMP_WAIT_POLICY=PASSIVE .venv-bench/bin/python benchmarks/run.py
	@OMP_WAIT_POLICY=PASSIVE .venv-bench/bin/python benchmarks/peer_errors.py
	@OMP_WAIT_POLICY=PASSIVE .venv-bench/bin/python benchmarks/staple.py
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 .venv/bin/python benchmarks/models.py
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 .venv/bin/python benchmarks/instanseg_speed.py
	@.venv/bin/python benchmarks/job_seconds.py

phantom-report: .venv/.installed
	@.venv/bin/python benchmarks/phantom.py

sync: .venv/.installed
	@.venv/bin/python workflow/scripts/sync.py

weights: .venv/.installed
	@exec .venv/bin/python -m imc_helpers.models.weights --edition "$(EDITION)"

weights-%: .venv/.installed FORCE
	@exec .venv/bin/python -m imc_helpers.models.weights "$*"

kernels: .venv/.installed
	@exec .venv/bin/python workflow/scripts/make_kernel.py --edition "$(EDITION)"

kernel-%: .venv/.installed FORCE
	@exec .venv/bin/python workflow/scripts/make_kernel.py "$*"

FORCE:

clean:
	rm -rf _build executed predictions results .snakemake

.venv/.installed: pyproject.toml envs/constraints.txt
	@command -v "$(PYTHON)" > /dev/null || { echo "There is no $(PYTHON) here: name a Python 3.11 or newer, for instance PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "The book needs Python 3.11 or newer; $(PYTHON) is" `"$(PYTHON)" --version 2>&1`". Name another one, for instance PYTHON=python3.12"; exit 1; }
	@exec "$(PYTHON)" workflow/scripts/install.py
