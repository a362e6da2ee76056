# The commands of the workflow. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
SOURCES := app simulator tests tools gunicorn.conf.py wsgi.py

.PHONY: help demo run test soak bench lint types lock clean venv

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: venv ## Twelve simulated miners and the service on this machine; Ctrl-C ends both
	@exec $(PYTHON) -m tools.demo

run: venv ## The service on your own network, in the foreground
	@exec $(PYTHON) -m gunicorn

test: venv ## Every test that needs neither root nor system packages
	@sh tools/test.sh

soak: venv ## tests/endurance for hours: SOAK=5 times as long, SOAK_POLLS=1000000 of SOAK_MINERS=300
	@SOAK=$${SOAK:-5} SOAK_POLLS=$${SOAK_POLLS:-1000000} SOAK_MINERS=$${SOAK_MINERS:-300} \
		$(PYTHON) -m pytest -s tests/endurance

bench: venv ## Measure CPU, latency and memory: N=1000 SECONDS=60 CLIENTS=1 MODE=keep-alive|close
	@exec $(PYTHON) -m tools.bench $(MAKEOVERRIDES)

lint: venv ## Style, of Python and JavaScript
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check $(SOURCES)
	@sh tools/web.sh lint

types: venv ## Static types, of Python and JavaScript
	@$(PYTHON) -m mypy
	@sh tools/web.sh types

lock: ## Resolve requirements*.in again, with hashes (needs uv)
	@for name in requirements requirements-dev requirements-node; do \
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			--output-file $$name.txt $$name.in || exit 1; \
	done

clean: ## Remove what was generated here; ./data is yours and stays
	rm -rf .venv .node .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf app/static app/static.new web/node_modules web/build.log tests/e2e/js/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@sh tools/venv.sh
