#include "ConformanceGuests.h"

#include <string.h>

// What the macro GUEST in guest.h puts into the section of this name.
struct guest {
  const char *name;
  const uint8_t *start;
  const uint8_t *end;
};

extern const struct guest __start_conformance_guests[];
extern const struct guest __stop_conformance_guests[];

const uint8_t *conformance_guest(const char *name, size_t *byteCount) {
  for (const struct guest *guest = __start_conformance_guests;
       guest < __stop_conformance_guests; guest++) {
    if (strcmp(guest->name, name) != 0) continue;
    *byteCount = (size_t)(guest->end - guest->start);
    return guest->start;
  }
  return NULL;
}
