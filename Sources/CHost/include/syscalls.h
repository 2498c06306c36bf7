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

/// eventfd(2), close-on-exec and not blocking. Returns the descriptor, or -1 and errno.
int chost_eventfd(void);

/// Opens a TAP device with 12-byte virtio-net headers and all offloads, not blocking. Returns the
/// descriptor, or -1 and errno.
int chost_open_tap(const char *name);

/// Makes a Unix socket of sequenced packets, not blocking, and connects it to a path, or binds it there
/// and listens. Returns the descriptor, or -1 and errno.
int chost_packet_socket(const char *path, int listens);

/// accept4(2), not blocking.
int chost_accept(int socket);

/// Writes a message of two parts to a socket or a device, without SIGPIPE.
long chost_send_message(int file, const void *header, unsigned long header_count, const void *body,
                        unsigned long body_count);
