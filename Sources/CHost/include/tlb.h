// The second level of a virtual CPU's TLB, and its refill of the first. In C because translated code calls it with
// the guest's vector registers in the host's, which only a function bound to the general registers spares.
#pragma once

#include <stdint.h>

// Of functions that spare the vector registers, and of what is to be inlined into them.
#define CHOST_GENERAL_REGISTERS __attribute__((target("general-regs-only")))

enum {
  chost_tlb_set_entries = 16384,
  // Offsets of the arrays of a first-level set (`TLBSet` in Swift says what they hold).
  chost_tlb_read_tags = 0,
  chost_tlb_write_tags = 8 * chost_tlb_set_entries,
  chost_tlb_execute_tags = 16 * chost_tlb_set_entries,
  chost_tlb_addends = 24 * chost_tlb_set_entries,
  chost_tlb_chunk_words = 32 * chost_tlb_set_entries,
  chost_tlb_execute_keys = 40 * chost_tlb_set_entries,
  chost_tlb_ram_pages = 48 * chost_tlb_set_entries,
  chost_tlb_flags = 52 * chost_tlb_set_entries,
  chost_tlb_execute_flags = 53 * chost_tlb_set_entries,
  chost_tlb_host_pages = 56 * chost_tlb_set_entries,
  chost_tlb_set_bytes = 64 * chost_tlb_set_entries,
  chost_tlb_sets = 3,
  // Bits of an entry's flags.
  chost_tlb_global = 1,
  chost_tlb_logged = 2,

  chost_tlb_ways = 4,
  chost_tlb_lines = 65536,
};

// What a line holds of a page for one first-level set.
typedef struct {
  // The linear page; bits 1:0 the set, bit 2: writable, bit 3: global.
  uint64_t page;
  uint64_t addend;
  uint64_t chunk_word;
  uint32_t ram_page;
  // Valid if it is the TLB's for its kind.
  uint32_t generation;
} chost_tlb_line;

typedef struct {
  // Of global pages, and of the others of the current process context; never 0. Another context's lines stay.
  uint32_t global_generation, local_generation;
  // First-level entries with pages that are not global: set × entries + index.
  uint32_t log_count;
  uint32_t next_way;
  uint32_t log[chost_tlb_sets * chost_tlb_set_entries];
  chost_tlb_line lines[chost_tlb_lines];
} chost_tlb_level2;

CHOST_GENERAL_REGISTERS
static inline unsigned chost_tlb_line_index(uint64_t linear) {
  uint64_t page = linear >> 12;
  return (unsigned)((page ^ page >> 10 ^ page >> 20) % (chost_tlb_lines / chost_tlb_ways)) * chost_tlb_ways;
}

/// The entry number at a position of the log, below `log_count`.
CHOST_GENERAL_REGISTERS
static inline uint32_t chost_tlb_log_entry(const chost_tlb_level2 *level2, uint32_t position) {
  return level2->log[position];
}

/// Enters a page into the first level of `set` (a number) at `sets`, and into the second level.
void chost_tlb_enter(void *sets, chost_tlb_level2 *level2, uint64_t linear, chost_tlb_line line);

/// Looks for the page of `linear` in the second level and enters it into the first. Returns 0 if the access may
/// be tried again, else 1. Touches general registers only.
uint64_t chost_tlb_refill(void *sets, chost_tlb_level2 *level2, uint64_t linear, uint64_t set_and_write);

/// Forgets a page in the second level.
void chost_tlb_forget(chost_tlb_level2 *level2, uint64_t linear);

/// Forgets all pages.
void chost_tlb_clear(chost_tlb_level2 *level2);
