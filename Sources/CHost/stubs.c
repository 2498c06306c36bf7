#define _GNU_SOURCE
#include "stubs.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <ucontext.h>

enum { slot_count = 1024, signal_count = 4 };

static struct {
  _Atomic uintptr_t start, end, fault_exit;
  const chost_translated_fault *faults;
  const uint32_t *count;
  atomic_flag taken;
} slots[slot_count];
static const int signals[signal_count] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS};
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

// The place to go on at after a fault of translated code at `offset`; 0 for none.
static uint32_t translated_stub(const chost_translated_fault *faults, uint32_t count, uint32_t offset) {
  uint32_t low = 0;
  while (low < count) {
    uint32_t middle = low + (count - low) / 2;
    if (faults[middle].instruction == offset) return faults[middle].stub;
    if (faults[middle].instruction < offset)
      low = middle + 1;
    else
      count = middle;
  }
  return 0;
}

static void handle(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  uintptr_t rip = (uintptr_t)registers[REG_RIP];
  for (int i = 0; i < slot_count; i++) {
    uintptr_t end = atomic_load_explicit(&slots[i].end, memory_order_acquire);
    if (rip < end && rip >= atomic_load_explicit(&slots[i].start, memory_order_relaxed)) {
      if (slots[i].faults) {
        uintptr_t start = atomic_load_explicit(&slots[i].start, memory_order_relaxed);
        uint32_t stub =
            translated_stub(slots[i].faults, *slots[i].count, (uint32_t)(rip - start));
        if (!stub) break;
        registers[REG_RIP] = (greg_t)(start + stub);
        return;
      }
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

static int take_slot(uintptr_t start, uintptr_t length, uintptr_t fault_exit,
                     const chost_translated_fault *faults, const uint32_t *count) {
  pthread_once(&once, install);
  for (int i = 0; i < slot_count; i++) {
    if (atomic_flag_test_and_set(&slots[i].taken)) continue;
    slots[i].faults = faults;
    slots[i].count = count;
    atomic_store(&slots[i].start, start);
    atomic_store(&slots[i].fault_exit, fault_exit);
    atomic_store_explicit(&slots[i].end, start + length, memory_order_release);
    return i;
  }
  return -1;
}

int chost_register_stubs(uintptr_t start, uintptr_t length, uintptr_t fault_exit) {
  return take_slot(start, length, fault_exit, NULL, NULL);
}

int chost_register_translation(uintptr_t start, uintptr_t length,
                               const chost_translated_fault *faults, const uint32_t *count) {
  return take_slot(start, length, 0, faults, count);
}

void chost_unregister_stubs(int slot) {
  if (slot < 0 || slot >= slot_count) return;
  atomic_store(&slots[slot].end, 0);
  atomic_flag_clear(&slots[slot].taken);
}
