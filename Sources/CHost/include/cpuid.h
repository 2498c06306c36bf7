// The CPUID instruction of the host, and what CPUID does not tell.
#pragma once

#include <stdint.h>

struct chost_cpuid_result {
  uint32_t eax, ebx, ecx, edx;
};

static inline struct chost_cpuid_result chost_cpuid(uint32_t leaf, uint32_t subleaf) {
  struct chost_cpuid_result result;
  __asm__ __volatile__("cpuid"
                       : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                       : "a"(leaf), "c"(subleaf));
  return result;
}

/// OF after SHL of 0x80 by two: 1 where it is that of the first shift, 0 where it is that of the last.
static inline int chost_overflow_of_long_shift(void) {
  uint8_t value = 0x80, overflow;
  __asm__("shlb $2, %0\n\tseto %1" : "+q"(value), "=q"(overflow) : : "cc");
  return overflow;
}
