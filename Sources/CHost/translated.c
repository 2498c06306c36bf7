#include "translated.h"

#include <string.h>

CHOST_GENERAL_REGISTERS
void chost_insert_target(chost_jumps *jumps, uint64_t linear, uint64_t target, uint32_t key, int is_global) {
  uint64_t index = chost_jump_index(linear);
  unsigned table = key & chost_key_user ? 0 : 1;
  uint32_t position = jumps->counts[table];
  if (position < chost_jump_log) jumps->log[table][position] = index;
  // Beyond the log it says that there are more.
  if (position <= chost_jump_log) jumps->counts[table] = position + 1;
  if (table && !is_global) jumps->holds_non_global_supervisor = 1;
  uint64_t bit = linear >> 12 & 4095;
  jumps->pages[bit >> 6] |= 1ull << (bit & 63);
  jumps->tables[table][index] = (chost_jump){linear, target};
}

// An empty entry seems to hold address 0, whose index is 0.
static void empty(chost_jump *entry) { entry->linear = 0; }

void chost_flush_targets(chost_jumps *jumps, unsigned table) {
  chost_jump *entries = jumps->tables[table];
  uint32_t count = jumps->counts[table];
  jumps->counts[table] = 0;
  if (count <= chost_jump_log) {
    for (uint32_t position = 0; position < count; position++) empty(entries + jumps->log[table][position]);
  } else {
    memset(entries + 1, 0, sizeof(chost_jump) * (chost_jump_entries - 1));
  }
}

void chost_flush_page_targets(chost_jumps *jumps, uint64_t linear) {
  enum { count = 4096 >> chost_jump_shift };
  uint64_t first = chost_jump_index(linear & ~4095ull);
  for (unsigned table = 0; table < 2; table++) {
    if (!jumps->counts[table]) continue;
    chost_jump *entries = jumps->tables[table];
    for (uint64_t index = first ? first : 1; index < first + count; index++)
      if ((entries[index].linear ^ linear) >> 12 == 0) empty(entries + index);
  }
}

void chost_flush_range_targets(chost_jumps *jumps, uint64_t first, uint64_t bytes) {
  for (unsigned table = 0; table < 2; table++) {
    if (jumps->counts[table] > chost_jump_log) {
      chost_flush_targets(jumps, table);
      continue;
    }
    for (uint32_t number = 0; number < jumps->counts[table]; number++) {
      chost_jump *entry = jumps->tables[table] + jumps->log[table][number];
      if (entry->linear - first < bytes) empty(entry);
    }
  }
}

CHOST_GENERAL_REGISTERS
uint64_t chost_find_target(chost_jumps *jumps, void *sets, uint64_t linear, uint64_t key) {
  unsigned table = key & chost_key_user ? 0 : 1;
  // Entry 0 is where code goes when attention is due.
  if (*(const volatile uint64_t *)jumps->jump_mask == 0 || chost_jump_index(linear) == 0 ||
      jumps->keys[table] != key || key & chost_key_override)
    return 1;
  char *base = (char *)sets + table * chost_tlb_set_bytes;
  unsigned index = (linear >> 12) % chost_tlb_set_entries;
  uint64_t page = linear & ~4095ull;
  if (((uint64_t *)(base + chost_tlb_execute_tags))[index] + page != 0) return 1;
  uint64_t ram_page = ((uint64_t *)(base + chost_tlb_execute_keys))[index] + page;
  uint64_t address = ram_page << 12 | (linear & 4095);
  const chost_block_bucket *bucket =
      jumps->buckets + chost_bucket(address, (uint32_t)key, jumps->bucket_mask);
  uint32_t entry = bucket->indirect_entry;
  if (!bucket->number) return 1;
  if (bucket->identity != chost_identity(address, (uint32_t)key)) {
    uint32_t number = bucket->number;
    const chost_translated_block *block;
    do {
      number = jumps->blocks[number].next;
      if (!number) return 1;
      block = jumps->blocks + number;
    } while (block->address != address || block->key != key);
    entry = block->indirect_entry;
  }
  int is_global = *((uint8_t *)(base + chost_tlb_execute_flags) + index) & chost_tlb_global;
  chost_insert_target(jumps, linear, jumps->code + entry, (uint32_t)key, is_global);
  return 0;
}

// Elements from `source` to `destination` upwards, one after the other as the guest's instruction would.
CHOST_GENERAL_REGISTERS
static inline void move(uint64_t destination, uint64_t source, uint64_t count, unsigned size) {
  switch (size) {
  case 1: __asm__ volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(count)::"memory"); break;
  case 2: __asm__ volatile("rep movsw" : "+D"(destination), "+S"(source), "+c"(count)::"memory"); break;
  case 4: __asm__ volatile("rep movsl" : "+D"(destination), "+S"(source), "+c"(count)::"memory"); break;
  default: __asm__ volatile("rep movsq" : "+D"(destination), "+S"(source), "+c"(count)::"memory"); break;
  }
}

CHOST_GENERAL_REGISTERS
static inline void fill(uint64_t destination, uint64_t value, uint64_t count, unsigned size) {
  switch (size) {
  case 1: __asm__ volatile("rep stosb" : "+D"(destination), "+c"(count) : "a"(value) : "memory"); break;
  case 2: __asm__ volatile("rep stosw" : "+D"(destination), "+c"(count) : "a"(value) : "memory"); break;
  case 4: __asm__ volatile("rep stosl" : "+D"(destination), "+c"(count) : "a"(value) : "memory"); break;
  default: __asm__ volatile("rep stosq" : "+D"(destination), "+c"(count) : "a"(value) : "memory"); break;
  }
}

// Whether the first level holds the page of `linear`, by now.
CHOST_GENERAL_REGISTERS
static inline int holds(void *sets, chost_tlb_level2 *level2, char *base, uint64_t linear, unsigned set_and_write) {
  uint64_t *tags = (uint64_t *)(base + (set_and_write & 4 ? chost_tlb_write_tags : chost_tlb_read_tags));
  if (tags[(linear >> 12) % chost_tlb_set_entries] + (linear & ~4095ull) == 0) return 1;
  return chost_tlb_refill(sets, level2, linear, set_and_write) == 0;
}

CHOST_GENERAL_REGISTERS
uint64_t chost_string(char *state, void *sets, chost_tlb_level2 *level2, uint64_t what) {
  enum { direction = 1 << 10, most_elements = 1 << 16 };
  uint64_t *registers = (uint64_t *)state;
  unsigned size = what & 15, set = what >> 8 & 3;
  if (*(uint64_t *)(state + (what >> 16)) & direction) return 1;
  int is_repeated = (what & chost_string_repeated) != 0, moves = (what & chost_string_moves) != 0;
  uint64_t mask = what & chost_string_is32 ? 0xFFFFFFFF : ~0ull;
  char *base = (char *)sets + set * chost_tlb_set_bytes;
  const uint64_t *addends = (const uint64_t *)(base + chost_tlb_addends);
  uint64_t left = is_repeated ? registers[1] & mask : 1, done = 0;
  while (left) {
    // Attention must not wait for long.
    if (done >= most_elements) return 1;
    uint64_t destination = registers[7] & mask, source = registers[6] & mask;
    uint64_t count = (4096 - (destination & 4095)) / size;
    if (moves && (4096 - (source & 4095)) / size < count) count = (4096 - (source & 4095)) / size;
    if (left < count) count = left;
    if (!count || !holds(sets, level2, base, destination, set | 4)) return 1;
    unsigned index = (destination >> 12) % chost_tlb_set_entries;
    uint64_t host = destination + addends[index];
    if (moves) {
      if (!holds(sets, level2, base, source, set)) return 1;
      // That may have taken the destination's entry.
      if (!holds(sets, level2, base, destination, set | 4)) return 1;
      unsigned source_index = (source >> 12) % chost_tlb_set_entries;
      if (!holds(sets, level2, base, source, set)) return 1;
      if (source_index == index && (source ^ destination) >> 12) return 1;
      uint64_t from = source + addends[source_index];
      move(host, from, count, size);
      registers[6] = (source + count * size) & mask;
    } else {
      fill(host, registers[0], count, size);
    }
    registers[7] = (destination + count * size) & mask;
    left -= count;
    done += count;
    if (is_repeated) registers[1] = left;
  }
  return 0;
}
