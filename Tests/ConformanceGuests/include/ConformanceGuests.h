// Small guests in assembly, as blobs between two symbols.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// The bytes of a guest by its name, for the address 0x8000; `NULL` if there is none of the name.
const uint8_t *conformance_guest(const char *name, size_t *byteCount);
