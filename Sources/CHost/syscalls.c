#define _GNU_SOURCE
#include <fcntl.h>
#include "syscalls.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int chost_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }


int chost_lock_file(int file, int for_writing) {
  struct flock lock = {.l_type = for_writing < 0 ? F_UNLCK : for_writing ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
  return fcntl(file, F_OFD_SETLK, &lock);
}

int chost_punch_hole(int file, long long offset, long long byte_count) {
  return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, byte_count);
}

int chost_reserve(int file, long long offset, long long byte_count) { return fallocate(file, 0, offset, byte_count); }

long long chost_seek(int file, long long offset, int for_data) {
  return lseek(file, offset, for_data ? SEEK_DATA : SEEK_HOLE);
}

int chost_zero_range(int file, long long offset, long long byte_count) {
  return fallocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, byte_count);
}

long chost_write_without_waiting(int file, const struct iovec *runs, int count, long long offset) {
  return pwritev2(file, runs, count, offset, RWF_NOWAIT);
}

int chost_open_temporary(const char *directory) {
  return open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

int chost_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
