// System calls that Swift's Glibc module does not show.
#pragma once

/// memfd_create(2), close-on-exec. Returns the descriptor, or -1 and errno.
int chost_memfd(const char *name);

