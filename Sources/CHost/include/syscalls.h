// System calls that Swift's Glibc module does not show.
#pragma once

/// memfd_create(2), close-on-exec. Returns the descriptor, or -1 and errno.
int chost_memfd(const char *name);


/// Locks a whole file for its open file description, for writing (1) or for reading (0), or
/// unlocks it (-1). Does not wait.
int chost_lock_file(int file, int for_writing);

/// Makes a file without a name in a directory, for reading and writing.
int chost_open_temporary(const char *directory);

/// Deallocates a range, which reads as zeroes afterwards; the file keeps its size.
int chost_punch_hole(int file, long long offset, long long byte_count);
