// io_uring through liburing, whose header does not agree with Swift's Glibc module.
#pragma once

#include <stdint.h>

struct chost_ring;
struct iovec;

/// What became of an operation: bytes, or a negative error number.
struct chost_ring_result {
  uint64_t number;
  int32_t result;
};

/// Sets up a ring with room for `entries` submissions. Returns null, and the error number in `*error`, if there
/// is none to be had or the kernel lacks one of the operations below.
struct chost_ring *chost_ring_open(unsigned entries, int *error);
void chost_ring_close(struct chost_ring *ring);

/// Puts an operation into the submission queue, under a number. Return 0, or -1 if the queue is full. The runs
/// must stay where they are until the operation has completed.
int chost_ring_poll(struct chost_ring *ring, uint64_t number, int file);
int chost_ring_read(struct chost_ring *ring, uint64_t number, int file, const struct iovec *runs, unsigned count,
                    uint64_t offset, int on_worker);
int chost_ring_write(struct chost_ring *ring, uint64_t number, int file, const struct iovec *runs, unsigned count,
                     uint64_t offset, int on_worker, int is_durable);

/// Enters the kernel with what was put into the queue. Returns how many the kernel took, or a negative error number.
int chost_ring_submit(struct chost_ring *ring);
/// Waits for a completion.
void chost_ring_wait(struct chost_ring *ring);
/// Takes up to `limit` completions. Returns how many there were.
int chost_ring_take(struct chost_ring *ring, struct chost_ring_result *results, int limit);
