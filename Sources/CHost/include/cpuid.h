// The CPUID instruction of the host.
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
