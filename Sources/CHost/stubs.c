#define _GNU_SOURCE
#include "stubs.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <ucontext.h>

enum { slot_count = 1024, signal_count = 3 };

static struct {
  _Atomic uintptr_t start, end, fault_exit;
  atomic_flag taken;
} slots[slot_count];
static const int signals[signal_count] = {SIGFPE, SIGILL, SIGSEGV};
static struct sigaction previous[signal_count];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void chain(int number, siginfo_t *info, void *context) {
  const struct sigaction *old = NULL;
  for (int i = 0; i < signal_count; i++)
    if (signals[i] == number) old = &previous[i];
  if (old && (old->sa_flags & SA_SIGINFO)) {
    old->sa_sigaction(number, info, context);
  } else if (old && old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
    old->sa_handler(number);
  } else {
    // The instruction faults again on return, this time for good.
    signal(number, SIG_DFL);
  }
}

static void handle(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  uintptr_t rip = (uintptr_t)registers[REG_RIP];
  for (int i = 0; i < slot_count; i++) {
    uintptr_t end = atomic_load_explicit(&slots[i].end, memory_order_acquire);
    if (rip < end && rip >= atomic_load_explicit(&slots[i].start, memory_order_relaxed)) {
      registers[REG_RAX] = number == SIGFPE ? 1 : 2;
      registers[REG_RIP] =
          (greg_t)atomic_load_explicit(&slots[i].fault_exit, memory_order_relaxed);
      return;
    }
  }
  chain(number, info, context);
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < signal_count; i++) sigaction(signals[i], &action, &previous[i]);
}

int chost_register_stubs(uintptr_t start, uintptr_t length, uintptr_t fault_exit) {
  pthread_once(&once, install);
  for (int i = 0; i < slot_count; i++) {
    if (atomic_flag_test_and_set(&slots[i].taken)) continue;
    atomic_store(&slots[i].start, start);
    atomic_store(&slots[i].fault_exit, fault_exit);
    atomic_store_explicit(&slots[i].end, start + length, memory_order_release);
    return i;
  }
  return -1;
}

void chost_unregister_stubs(int slot) {
  if (slot < 0 || slot >= slot_count) return;
  atomic_store(&slots[slot].end, 0);
  atomic_flag_clear(&slots[slot].taken);
}
