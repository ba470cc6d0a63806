# Everything that a contributor or CI runs. `make demo` and `make check` are the two commands of the README.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
# System packages that the tests use for real; a test whose tool is missing is skipped aloud.
PACKAGES := cabextract chromium cpio cryptsetup-bin default-jre-headless device-tree-compiler faketime gcab gnupg gnutls-bin jcat \
            libcoap3-bin mender-artifact minisign mosquitto mosquitto-clients nginx-light openssl rauc signapk \
            signify-openbsd squashfs-tools sslscan swtpm swupdate tpm2-tools u-boot-tools zip

.PHONY: demo check setup system lint types test every-bit samples golden docs wheel bench clean

demo: $(VENV)/.demo  ## install, and assess the shipped gateway sample
	$(BIN)/otaudit check samples/gateway/update.yaml --as-of 2026-11-01 -o report.html -o report.json
	@echo "Open report.html in a browser."

check: system setup lint types wheel test  ## install, and run every check that CI runs

setup: $(STAMP)  ## make the development environment

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(STAMP): pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --editable '.[fast,pdf]' --group dev
	touch $@ $(VENV)/.demo

system:  ## install the system packages of the tests, where this user may
	@sh tests/system-packages $(PACKAGES)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry .

types: setup
	$(BIN)/mypy

test: setup
	$(BIN)/pytest --numprocesses 2 --cov --cov-report term:skip-covered

every-bit: setup  ## flip every bit and cut at every byte of the samples' artifacts: about an hour
	OTAUDIT_EVERY_BIT=1 $(BIN)/pytest --numprocesses 2 --timeout 7200 tests/properties/test_sample_artifacts_are_parsed_totally.py

wheel: setup  ## build the wheel and compare its contents with the expected list
	$(BIN)/python -m build --wheel --no-isolation --outdir build/dist . > build.log 2>&1 || { cat build.log; rm -f build.log; exit 1; }
	@rm -f build.log
	$(BIN)/check-wheel-contents build/dist/*.whl

samples: setup  ## make the samples again with the real tools
	$(BIN)/python -m samples.build

golden: setup  ## accept the reports of the samples as they are now; read the diff before you commit it
	$(BIN)/python -m samples.build.golden

docs: setup  ## write the generated pages, and the parsed copies of the rule set's tables, again
	$(BIN)/python -m docs.build

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
