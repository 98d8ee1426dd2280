#include "fuzz_main.h"

#include <stddef.h>
#include <stdint.h>

// Of libFuzzer, and of Fuzz.swift.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test)(const uint8_t *, size_t));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// SwiftPM calls it instead of main().
int fuzz_main(int argc, char **argv) {
  return LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput);
}
