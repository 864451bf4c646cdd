# The face of the course: each target is one command. `make` alone lists them.
#   LAB=01_python_model   which lab
#   ARGS="--ip=0.0.0.0"   more arguments for the command of that target
SHELL := /bin/sh

# The environment is .venv in this folder or, when it is activated, the conda environment named course.
ENV := $(if $(filter course,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX),.venv)
BIN := $(ENV)/bin
STAMP := $(ENV)/course-environment
# The stamp names the folder that it was made for: a clone that was moved or copied needs its environment made again.
MOVED := $(shell [ "$$(cat "$(ENV)/course-environment" 2>/dev/null)" = "$(CURDIR)" ] || echo moved)
JUPYTERLAB = "$(BIN)/jupyter" lab --config=env_setup/jupyterlab/config.py

.DEFAULT_GOAL := help
.PHONY: moved help env extra lab hello course test doctor cluster lock lint release reference image bundle status submit collect grade feedback report solutions export bench site clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

env: $(STAMP) ## make or mend the environment, from requirements.lock
	@:

$(STAMP): $(MOVED) requirements.lock pyproject.toml env_setup/make_environment.sh
	@sh env_setup/make_environment.sh "$(ENV)"

extra: env ## install the packages that only one lab needs: make extra LAB=06, or LAB=all
	@sh env_setup/make_environment.sh "$(ENV)" "$(or $(LAB),$(error say which lab: make extra LAB=06))"

lab: env ## start JupyterLab on the labs
	@exec $(JUPYTERLAB) $(ARGS)

hello: env ## start JupyterLab on a first notebook, for those new to notebooks
	@exec $(JUPYTERLAB) --LabApp.default_url=/lab/tree/env_setup/hello.ipynb $(ARGS)

doctor: env ## check this machine, and say how to mend what is missing
	@"$(BIN)/course" doctor $(ARGS)

cluster: ## make a Kubernetes cluster in your container engine, for lab 05 (ARGS=down removes it)
	@sh env_setup/kind.sh $(ARGS)

test: env ## run the tests, on every core; of many slow ones alike some, or all with ARGS=--all
	@[ -d tests ] || { echo "The tests are in the course's repository; the students' zip has none."; exit 1; }
	@"$(BIN)/python" -m pytest -n auto --dist worksteal --durations=10 $(ARGS)

lint: env ## check format, style, spelling, types, and which room imports which
	"$(BIN)/ruff" format --check
	"$(BIN)/ruff" check
	"$(BIN)/codespell"
	"$(BIN)/lint-imports" --no-cache
	"$(BIN)/mypy"
	"$(BIN)/mypy" --scripts-are-modules solutions/*/checks

lock: env ## solve pyproject.toml again, into requirements.lock (ARGS=--upgrade takes newer versions)
	@sh env_setup/make_lock.sh "$(BIN)" $(ARGS)

release: env ## write labs/ and the tables of labs from solutions/
	@"$(BIN)/course" describe
	@"$(BIN)/course" release $(LAB) $(ARGS)

reference: env ## make what later labs start from, by the solutions before them: make reference LAB=...
	@"$(BIN)/course" reference $(LAB) $(ARGS)

bundle: env ## make the zip that students get
	@"$(BIN)/course" bundle $(ARGS)

status: env ## show where you stand, in all labs or in one: make status LAB=...
	@"$(BIN)/course" status $(LAB) $(ARGS)

submit: env ## hand in a lab, as a zip with a receipt: make submit LAB=...
	@"$(BIN)/course" submit "$(or $(LAB),$(error say which lab: make submit LAB=01))" $(ARGS)

collect: env ## take in students' work: make collect LAB=... INBOX=folder-or-zip
	@"$(BIN)/course" collect "$(or $(LAB),$(error say which lab: make collect LAB=01 INBOX=folder))" \
		"$(or $(INBOX),$(error say where the work is: make collect LAB=01 INBOX=folder))" $(ARGS)

grade: env ## grade what was taken in: make grade LAB=...
	@"$(BIN)/course" grade $(LAB) $(ARGS)

feedback: env ## write the feedback for students: make feedback LAB=...
	@"$(BIN)/course" feedback $(LAB) $(ARGS)

report: env ## write what the class did, as a page and for Canvas and Moodle: make report LAB=...
	@"$(BIN)/course" report $(LAB) $(ARGS)

solutions: env ## write a lab's solutions, with commentary, for students: make solutions LAB=...
	@"$(BIN)/course" solutions "$(or $(LAB),$(error say which lab: make solutions LAB=01))" $(ARGS)

bench: env ## measure grading against nbgrader; or WHAT=serving, a service; or WHAT=labs, what grading adds
	@"$(BIN)/python" -W ignore "benchmarks/$(or $(WHAT),grading).py" $(ARGS)

course: env ## run the whole course from data to cluster, and write a page about it: build/course/index.html
	@"$(BIN)/course" end-to-end $(LAB) $(ARGS)

image: env ## build the container in which course grade runs where this machine has no sandbox
	@"$(BIN)/python" -m course.grading.pipeline.container build

site: env ## build the course as a site, with readings and slides, in build/site/html
	@"$(BIN)/python" site/build.py $(ARGS)

export: env ## write the grades as CSV
	@"$(BIN)/course" export $(ARGS)

clean: ## remove what was built; the environment, shipped work and grades stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
