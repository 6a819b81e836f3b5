# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The CPU build; a bare newer torch pulls gigabytes of CUDA packages.
TORCH ?= torch==2.13.0
FILE ?=
BITRATE ?= 8kbps
# Of the decoder in C; any C99 compiler will do.
CC ?= cc
CFLAGS ?= -std=c99 -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -Wall -Wextra

# Tests start hundreds of processes: each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all lint types man check portable web clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py --bitrate $(BITRATE) $(if $(FILE),"$(FILE)")

test: $(VENV)/installed
	$(BIN)/pytest --numprocesses auto --dist worksteal -m "not slow"

# Those too that are slow by nature: exports, examples, wheels, clusters.
test-all: $(VENV)/installed
	$(BIN)/pytest --numprocesses auto --dist worksteal

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy -p neucodec

# The manual page, whenever a command has changed.
man: $(VENV)/installed
	$(BIN)/neucodec man > docs/neucodec.1

# The decoder in C, docs/portable.md: needs no Python.
PORTABLE := $(addprefix portable/,container.c reader.c entropy.c transformer.c layer.c waveform.c \
    weights.c network.c fourier.c kernels.c decoder.c)
portable: build/ncfdec build/libncf.a

build/libncf.a: $(PORTABLE) $(wildcard portable/*.h)
	mkdir -p build/portable
	cd build/portable && $(CC) $(CFLAGS) -c $(addprefix ../../,$(PORTABLE))
	rm -f $@
	ar rcs $@ build/portable/*.o

build/ncfdec: portable/ncfdec.c build/libncf.a
	$(CC) $(CFLAGS) -o $@ portable/ncfdec.c build/libncf.a -lm

# The same for browsers, as it lies in the package; by Clang and LLD, without any other library.
CLANG ?= clang
web: neucodec/player/player.wasm
neucodec/player/player.wasm: $(PORTABLE) $(wildcard portable/*.h portable/web/*.c portable/web/include/*.h)
	$(CLANG) --target=wasm32 -std=gnu99 -O3 -msimd128 -mbulk-memory -ffreestanding -nostdlib \
	    -nostdlibinc -isystem portable/web/include -DNCF_NO_FILES -ffp-contract=fast \
	    -fno-math-errno -fno-trapping-math -Wall -Wextra -Wl,--no-entry -Wl,--strip-all \
	    -Wl,-z,stack-size=262144 $(PORTABLE) portable/web/library.c portable/web/exports.c -o $@
	chmod 644 $@

check: lint types test-all

clean:
	rm -rf $(VENV) build demo *.egg-info
