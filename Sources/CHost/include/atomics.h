// Atomic operations on raw memory, of the widths that x86 guests use. Addresses need not be aligned:
// the host's LOCK prefix copes, as the guest's would.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CHOST_INLINE static inline __attribute__((always_inline))

#define CHOST_ATOMICS(bits, type)                                                                  \
  CHOST_INLINE bool chost_cas##bits(void *address, type *expected, type desired) {                 \
    bool equal;                                                                                    \
    __asm__ __volatile__("lock; cmpxchg %3, %0"                                                    \
                         : "+m"(*(volatile type *)address), "+a"(*expected), "=@ccz"(equal)        \
                         : "r"(desired)                                                            \
                         : "memory");                                                              \
    return equal;                                                                                  \
  }                                                                                                \
  CHOST_INLINE type chost_exchange##bits(void *address, type value) {                              \
    __asm__ __volatile__("xchg %1, %0"                                                             \
                         : "+m"(*(volatile type *)address), "+r"(value)                            \
                         :                                                                         \
                         : "memory");                                                              \
    return value;                                                                                  \
  }

CHOST_ATOMICS(8, uint8_t)
CHOST_ATOMICS(16, uint16_t)
CHOST_ATOMICS(32, uint32_t)
CHOST_ATOMICS(64, uint64_t)

/// CMPXCHG16B: `address` must be 16-byte aligned.
CHOST_INLINE bool chost_cas128(void *address, uint64_t expected[2], uint64_t low, uint64_t high) {
  bool equal;
  __asm__ __volatile__("lock; cmpxchg16b %0"
                       : "+m"(*(volatile __int128 *)address), "+a"(expected[0]), "+d"(expected[1]),
                         "=@ccz"(equal)
                       : "b"(low), "c"(high)
                       : "memory");
  return equal;
}

CHOST_INLINE void chost_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

CHOST_INLINE uint32_t chost_load_acquire32(const void *address) {
  return __atomic_load_n((const uint32_t *)address, __ATOMIC_ACQUIRE);
}

CHOST_INLINE uint32_t chost_load_relaxed32(const void *address) {
  return __atomic_load_n((const uint32_t *)address, __ATOMIC_RELAXED);
}

CHOST_INLINE void chost_store_release32(void *address, uint32_t value) {
  __atomic_store_n((uint32_t *)address, value, __ATOMIC_RELEASE);
}

CHOST_INLINE uint32_t chost_or32(void *address, uint32_t bits) {
  return __atomic_fetch_or((uint32_t *)address, bits, __ATOMIC_SEQ_CST);
}

CHOST_INLINE uint32_t chost_and32(void *address, uint32_t bits) {
  return __atomic_fetch_and((uint32_t *)address, bits, __ATOMIC_SEQ_CST);
}

CHOST_INLINE uint64_t chost_or64(void *address, uint64_t bits) {
  return __atomic_fetch_or((uint64_t *)address, bits, __ATOMIC_SEQ_CST);
}

CHOST_INLINE uint32_t chost_add32(void *address, uint32_t value) {
  return __atomic_fetch_add((uint32_t *)address, value, __ATOMIC_SEQ_CST);
}
