// Catching the faults of host-executed guest instructions.
#pragma once

#include <stdint.h>

/// Faults with RIP in [start, start + length) continue at `fault_exit`, with EAX 1 for SIGFPE and 2 for
/// other signals. The first call installs the handlers; other faults go to the handlers that were there.
/// Returns a slot for `chost_unregister_stubs`, or -1 when all are taken.
int chost_register_stubs(uintptr_t start, uintptr_t length, uintptr_t fault_exit);

void chost_unregister_stubs(int slot);
