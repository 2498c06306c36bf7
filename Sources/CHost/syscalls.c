#define _GNU_SOURCE
#include "syscalls.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int chost_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

