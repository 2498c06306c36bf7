#include "tlb.h"

// A tag that no access to the entry matches: as `TLBSet.invalidTag`.
CHOST_GENERAL_REGISTERS
static inline uint64_t invalid_tag(unsigned index) {
  return 0 - (1ull << 62 | (index == 511 || index == 512 ? 0 : 1ull << 21));
}

CHOST_GENERAL_REGISTERS
static inline void enter_first(void *sets, chost_tlb_level2 *level2, const chost_tlb_line *line) {
  unsigned set = line->page & 3;
  uint64_t tag = 0 - (line->page & ~4095ull);
  unsigned index = (line->page >> 12) % chost_tlb_set_entries;
  char *base = (char *)sets + set * chost_tlb_set_bytes;
  int may_write =
      line->page & 4 && !*(const volatile uint64_t *)line->chunk_word;
  ((uint64_t *)(base + chost_tlb_read_tags))[index] = tag;
  ((uint64_t *)(base + chost_tlb_write_tags))[index] = may_write ? tag : invalid_tag(index);
  ((uint64_t *)(base + chost_tlb_addends))[index] = line->addend;
  ((uint64_t *)(base + chost_tlb_host_pages))[index] = line->addend + (line->page & ~4095ull);
  ((uint64_t *)(base + chost_tlb_chunk_words))[index] = line->chunk_word;
  ((uint32_t *)(base + chost_tlb_ram_pages))[index] = line->ram_page;
  uint8_t *flags = (uint8_t *)(base + chost_tlb_flags) + index;
  uint8_t value = *flags & chost_tlb_logged;
  if (line->page & 8) {
    value |= chost_tlb_global;
  } else if (!value) {
    value = chost_tlb_logged;
    level2->log[level2->log_count++] = set * chost_tlb_set_entries + index;
  }
  *flags = value;
}

CHOST_GENERAL_REGISTERS
void chost_tlb_enter(void *sets, chost_tlb_level2 *level2, uint64_t linear, chost_tlb_line line) {
  chost_tlb_line *lines = level2->lines + chost_tlb_line_index(linear);
  line.generation = line.page & 8 ? level2->global_generation : level2->local_generation;
  // Its own line, else one that holds nothing, else the next in turn.
  chost_tlb_line *victim = lines + (level2->next_way++ % chost_tlb_ways);
  for (int way = 0; way < chost_tlb_ways; way++) {
    uint32_t current =
        lines[way].page & 8 ? level2->global_generation : level2->local_generation;
    if (lines[way].generation != current) {
      victim = lines + way;
    } else if ((lines[way].page & ~12ull) == (line.page & ~12ull)) {
      victim = lines + way;
      break;
    }
  }
  *victim = line;
  enter_first(sets, level2, &line);
}

CHOST_GENERAL_REGISTERS
uint64_t chost_tlb_refill(void *sets, chost_tlb_level2 *level2, uint64_t linear,
                          uint64_t set_and_write) {
  unsigned index = (linear >> 12) % chost_tlb_set_entries;
  char *base = (char *)sets + (set_and_write & 3) * chost_tlb_set_bytes;
  uint64_t *tags = (uint64_t *)(base + (set_and_write & 4 ? chost_tlb_write_tags : chost_tlb_read_tags));
  // It is there: the access crosses into the next page.
  if (tags[index] + (linear & ~4095ull) == 0) return 1;
  chost_tlb_line *lines = level2->lines + chost_tlb_line_index(linear);
  uint64_t wanted = (linear & ~4095ull) | (set_and_write & 3);
  for (int way = 0; way < chost_tlb_ways; way++) {
    chost_tlb_line *line = lines + way;
    if ((line->page & ~12ull) != wanted) continue;
    uint32_t current = line->page & 8 ? level2->global_generation : level2->local_generation;
    if (line->generation != current) continue;
    if (set_and_write & 4 && !(line->page & 4)) return 1;
    enter_first(sets, level2, line);
    // A page with code stays closed to writes.
    return tags[index] + (linear & ~4095ull) != 0;
  }
  return 1;
}

void chost_tlb_forget(chost_tlb_level2 *level2, uint64_t linear) {
  chost_tlb_line *lines = level2->lines + chost_tlb_line_index(linear);
  for (int way = 0; way < chost_tlb_ways; way++)
    if (((lines[way].page ^ linear) & ~4095ull) == 0) lines[way].generation = 0;
}

void chost_tlb_clear(chost_tlb_level2 *level2) {
  for (int line = 0; line < chost_tlb_lines; line++) level2->lines[line].generation = 0;
}
