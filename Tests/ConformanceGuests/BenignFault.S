#include "guest.h"

// A fault while a benign exception is delivered stays what it is, with EXT set in its error code (SDM
// 3A 6.13, table 6-5); while INT n is delivered EXT is clear.
GUEST benign_fault
  ENTER_PROTECTED
  HANDLERS32
  movb $0x0E, IDT + 6 * 8 + 5
  TRY 1f
  ud2
1:TRY 1f
  int $6
1:FINISH
  COMMON_GDT
GUEST_END benign_fault
