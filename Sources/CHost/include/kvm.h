// The kernel's interface to KVM, its ioctls, and what a vCPU's thread needs so that it can be kicked.
#pragma once

#include <linux/kvm.h>
#include <stdint.h>

/// ioctl(2) with a number. Returns the result, or -1 and errno.
int chost_ioctl_value(int file, unsigned long request, unsigned long value);

/// ioctl(2) with a structure. Returns the result, or -1 and errno.
int chost_ioctl_pointer(int file, unsigned long request, void *argument);

/// Gives the kick signal, a real-time one, a handler that does nothing, so that its only effect is to
/// end a blocking system call with EINTR. Once a process. Returns 0, or -1 and errno.
int chost_kvm_prepare_kicks(void);

/// The calling thread's id, with the kick signal unblocked in it.
int chost_kvm_kickable_thread(void);

/// Sends the kick signal to a thread of this process; one that has ended is no error.
void chost_kvm_kick(int thread);

/// Stores `kvm_run.immediate_exit`, in order with all other sequentially consistent operations.
static inline void chost_kvm_set_immediate_exit(struct kvm_run *run, uint8_t value) {
  __atomic_store_n(&run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

/// The most ranges and registers of each that `chost_kvm_deny_msrs` takes.
#define CHOST_KVM_MSR_RANGES 16
#define CHOST_KVM_MSR_RANGE_COUNT 12288

/// Has RDMSR and WRMSR of these ranges denied (`KVM_X86_SET_MSR_FILTER`). Returns 0, or -1 and errno.
int chost_kvm_deny_msrs(int machine, const uint32_t *firsts, const uint32_t *counts, int ranges);
