// What translated code calls without being left: in C, because it runs with the guest's vector registers in the
// host's, which only functions bound to the general registers spare. All return 0 when they did what was
// asked, and else 1, whereupon the interpreter executes the instruction.
#pragma once

#include <stdint.h>

#include "tlb.h"

// A translated block (`Translator`), by number; 0 is none.
typedef struct {
  // Where it starts in RAM.
  uint64_t address;
  // `TranslationKey`.
  uint32_t key;
  // Offsets in the code cache: for branches within the page, and for indirect ones, with the linear address in R14.
  uint32_t entry, indirect_entry;
  // Not a block, but that another block's instruction ends in this page: which one.
  uint32_t dependent;
  uint32_t next, next_in_page;
} chost_translated_block;

// The first block of those with the same hash: what is looked for most often costs one look.
typedef struct {
  // Its address and key (`chost_identity`).
  uint64_t identity;
  // 0: there is none.
  uint32_t number;
  uint32_t indirect_entry;
} chost_block_bucket;

enum {
  chost_key_user = 1 << 2,
  chost_key_override = 1 << 3,

  chost_jump_entries = 1 << 18,
  // The lowest bit of an address that selects an entry. A call behind another returns 5 bytes further; few targets lie
  // closer.
  chost_jump_shift = 2,
  // Entries of a table that were filled since it was empty, as long as they are few.
  chost_jump_log = 8192,
};

// What a table of targets of indirect branches holds of one.
typedef struct {
  uint64_t linear;
  // The host address of the block's indirect entry.
  uint64_t target;
} chost_jump;

// The tables of user and of supervisor code, and what fills them.
typedef struct {
  chost_jump (*tables)[chost_jump_entries];
  const chost_translated_block *blocks;
  const chost_block_bucket *buckets;
  uint64_t bucket_mask;
  // Where the code cache is executed.
  uint64_t code;
  // 0 when attention is due.
  const uint64_t *jump_mask;
  // What the entries take for granted, and how many were filled: the first of them are in `log`.
  uint32_t keys[2], counts[2];
  uint32_t log[2][chost_jump_log];
  uint32_t holds_non_global_supervisor;
  // Bits of pages (hashed) that entries lie in.
  uint64_t pages[64];
} chost_jumps;

CHOST_GENERAL_REGISTERS
static inline uint64_t chost_jump_index(uint64_t linear) {
  return linear >> chost_jump_shift & (chost_jump_entries - 1);
}

CHOST_GENERAL_REGISTERS
static inline uint64_t chost_identity(uint64_t address, uint32_t key) { return address << 12 | key; }

CHOST_GENERAL_REGISTERS
static inline uint64_t chost_bucket(uint64_t address, uint32_t key, uint64_t mask) {
  uint64_t hash = ((address >> 12) ^ (uint64_t)key << 40) * 0x9E3779B97F4A7C15ull;
  return ((hash >> 40) + (address >> 3 & 511)) & mask;
}

/// Enters the target `linear` of an indirect branch, made by code of `key`, in the table.
uint64_t chost_find_target(chost_jumps *jumps, void *sets, uint64_t linear, uint64_t key);

/// Empties a table.
void chost_flush_targets(chost_jumps *jumps, unsigned table);

/// Empties the entries of both tables that lie in the page of `linear`.
void chost_flush_page_targets(chost_jumps *jumps, uint64_t linear);

/// Empties those that lie in a range.
void chost_flush_range_targets(chost_jumps *jumps, uint64_t first, uint64_t bytes);

/// Adds a target. The key's table must be its own.
void chost_insert_target(chost_jumps *jumps, uint64_t linear, uint64_t target, uint32_t key, int is_global);

enum {
  chost_string_repeated = 1 << 4,
  chost_string_moves = 1 << 5,
  chost_string_is32 = 1 << 6,
};

/// Executes MOVS or STOS, with the general registers at `state`, as far as both ends lie in pages that the TLB holds.
/// `what`: the element's bytes, the bits above, the TLB set in bits 9:8, the offset of EFLAGS from `state`
/// from bit 16 on.
uint64_t chost_string(char *state, void *sets, chost_tlb_level2 *level2, uint64_t what);
