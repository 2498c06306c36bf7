#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>

struct chost_ring {
  struct io_uring ring;
};

static int has_operations(struct io_uring *ring) {
  static const int operations[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_POLL_ADD};
  struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
  int has_all = probe != NULL;
  for (unsigned i = 0; i < sizeof operations / sizeof *operations; i++)
    has_all = has_all && io_uring_opcode_supported(probe, operations[i]);
  if (probe) io_uring_free_probe(probe);
  return has_all;
}

struct chost_ring *chost_ring_open(unsigned entries, int *error) {
  struct chost_ring *ring = malloc(sizeof *ring);
  if (!ring) {
    *error = ENOMEM;
    return NULL;
  }
  int result = io_uring_queue_init(entries, &ring->ring, 0);
  if (result == 0 && !has_operations(&ring->ring)) {
    io_uring_queue_exit(&ring->ring);
    result = -ENOSYS;
  }
  if (result == 0) return ring;
  free(ring);
  *error = -result;
  return NULL;
}

void chost_ring_close(struct chost_ring *ring) {
  io_uring_queue_exit(&ring->ring);
  free(ring);
}

int chost_ring_poll(struct chost_ring *ring, uint64_t number, int file) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  if (!entry) return -1;
  io_uring_prep_poll_add(entry, file, POLLIN);
  io_uring_sqe_set_data64(entry, number);
  return 0;
}

// A single run needs no list that the kernel would have to copy.
static unsigned length(const struct iovec *run) { return run->iov_len < 1u << 30 ? run->iov_len : 1u << 30; }

int chost_ring_read(struct chost_ring *ring, uint64_t number, int file, const struct iovec *runs, unsigned count,
                    uint64_t offset, int on_worker) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  if (!entry) return -1;
  if (count == 1)
    io_uring_prep_read(entry, file, runs->iov_base, length(runs), offset);
  else
    io_uring_prep_readv(entry, file, runs, count, offset);
  if (on_worker) io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
  io_uring_sqe_set_data64(entry, number);
  return 0;
}

int chost_ring_write(struct chost_ring *ring, uint64_t number, int file, const struct iovec *runs, unsigned count,
                     uint64_t offset, int on_worker, int is_durable) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  if (!entry) return -1;
  if (count == 1)
    io_uring_prep_write(entry, file, runs->iov_base, length(runs), offset);
  else
    io_uring_prep_writev(entry, file, runs, count, offset);
  if (is_durable) entry->rw_flags = RWF_DSYNC;
  if (on_worker) io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
  io_uring_sqe_set_data64(entry, number);
  return 0;
}

int chost_ring_submit(struct chost_ring *ring) { return io_uring_submit(&ring->ring); }

void chost_ring_wait(struct chost_ring *ring) {
  struct io_uring_cqe *first;
  io_uring_wait_cqe(&ring->ring, &first);
}

int chost_ring_take(struct chost_ring *ring, struct chost_ring_result *results, int limit) {
  int count = 0;
  struct io_uring_cqe *entry;
  while (count < limit && io_uring_peek_cqe(&ring->ring, &entry) == 0) {
    results[count++] = (struct chost_ring_result){.number = entry->user_data, .result = entry->res};
    io_uring_cqe_seen(&ring->ring, entry);
  }
  return count;
}
