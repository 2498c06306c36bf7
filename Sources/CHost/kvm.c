#define _GNU_SOURCE
#include "kvm.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int chost_ioctl_value(int file, unsigned long request, unsigned long value) {
  return ioctl(file, request, value);
}

int chost_ioctl_pointer(int file, unsigned long request, void *argument) {
  return ioctl(file, request, argument);
}

// Clear of the first two, which libraries like to take.
static int kick_signal(void) { return SIGRTMIN + 4; }

static void ignore_kick(int number) { (void)number; }

int chost_kvm_prepare_kicks(void) {
  struct sigaction action = {.sa_handler = ignore_kick};
  sigemptyset(&action.sa_mask);
  return sigaction(kick_signal(), &action, NULL);
}

int chost_kvm_kickable_thread(void) {
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, kick_signal());
  pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
  return gettid();
}

void chost_kvm_kick(int thread) { syscall(SYS_tgkill, getpid(), thread, kick_signal()); }

int chost_kvm_deny_msrs(int machine, const uint32_t *firsts, const uint32_t *counts, int ranges) {
  static uint8_t none_allowed[CHOST_KVM_MSR_RANGE_COUNT / 8];
  struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
  for (int i = 0; i < ranges && i < CHOST_KVM_MSR_RANGES; i++)
    filter.ranges[i] = (struct kvm_msr_filter_range){
        .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
        .nmsrs = counts[i],
        .base = firsts[i],
        .bitmap = none_allowed,
    };
  return ioctl(machine, KVM_X86_SET_MSR_FILTER, &filter);
}
