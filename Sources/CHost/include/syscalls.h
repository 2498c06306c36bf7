// System calls that Swift's Glibc module does not show.
#pragma once

/// memfd_create(2), close-on-exec. Returns the descriptor, or -1 and errno.
int chost_memfd(const char *name);

/// Announces this process's use of `chost_membarrier`. Returns 0, or -1 where the kernel lacks it.
int chost_membarrier_register(void);

/// Makes every running thread of this process execute a full memory barrier.
void chost_membarrier(void);
