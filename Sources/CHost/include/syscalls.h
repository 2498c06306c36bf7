// System calls that Swift's Glibc module does not show.
#pragma once

/// memfd_create(2), close-on-exec. Returns the descriptor, or -1 and errno.
int chost_memfd(const char *name);


/// Locks a whole file for its open file description, for writing (1) or for reading (0), or
/// unlocks it (-1). Does not wait.
int chost_lock_file(int file, int for_writing);

/// Makes a range read as zeroes and keeps its space; the file keeps its size.
int chost_zero_range(int file, long long offset, long long byte_count);

struct iovec;

/// pwritev2(2) with RWF_NOWAIT.
long chost_write_without_waiting(int file, const struct iovec *runs, int count, long long offset);

/// Makes a file without a name in a directory, for reading and writing.
int chost_open_temporary(const char *directory);

/// Deallocates a range, which reads as zeroes afterwards; the file keeps its size.
int chost_punch_hole(int file, long long offset, long long byte_count);
// Sets space aside for a range: fallocate without flags.
int chost_reserve(int file, long long offset, long long byte_count);
// The next data, or the next hole, at or after offset; -1 with ENXIO where there is none.
long long chost_seek(int file, long long offset, int for_data);

/// eventfd(2), close-on-exec and not blocking. Returns the descriptor, or -1 and errno.
int chost_eventfd(void);

/// Opens a TAP device with 12-byte virtio-net headers and all offloads, not blocking. Returns the
/// descriptor, or -1 and errno.
int chost_open_tap(const char *name);

/// Makes a Unix socket of bytes or of sequenced packets, not blocking, and connects it to a path, or binds
/// it there and listens. Returns the descriptor, or -1 and errno.
int chost_unix_socket(const char *path, int is_stream, int listens);

/// accept4(2), not blocking.
int chost_accept(int socket);

/// Writes a message of two parts to a socket or a device, without SIGPIPE.
long chost_send_message(int file, const void *header, unsigned long header_count, const void *body,
                        unsigned long body_count);
