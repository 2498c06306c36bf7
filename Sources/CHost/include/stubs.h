// Catching the faults of host-executed guest instructions.
#pragma once

#include <stdint.h>

/// Faults with RIP in [start, start + length) continue at `fault_exit`, with EAX 1 for SIGFPE and 2 for
/// other signals. The first call installs the handlers; other faults go to the handlers that were there.
/// Returns a slot for `chost_unregister_stubs`, or -1 when all are taken.
int chost_register_stubs(uintptr_t start, uintptr_t length, uintptr_t fault_exit);

void chost_unregister_stubs(int slot);

/// An instruction of translated code that the host may refuse, and the code that leaves then: offsets from
/// the code's start.
typedef struct {
  uint32_t instruction, stub, site;
} chost_translated_fault;

/// Faults with RIP in [start, start + length) at one of the `*count` instructions of `faults`, which are in
/// ascending order, continue at that one's stub. Returns a slot for `chost_unregister_stubs`, or -1.
int chost_register_translation(uintptr_t start, uintptr_t length,
                               const chost_translated_fault *faults, const uint32_t *count);
