#include "guest.h"

// A contributory exception while another is delivered: #DF with error code 0 (SDM 3A 6.15).
GUEST double_fault
  ENTER_PROTECTED
  HANDLERS32
  // #NP while #GP is delivered.
  movb $0x0E, IDT + 13 * 8 + 5
  movl $AT(1f), RESUME
  movl $AT(0f), TRIED
  movl $0x400, %eax
0:movw %ax, %es
1:// Nothing left for #DF: a triple fault.
  movb $0x0E, IDT + 13 * 8 + 5
  movb $0x0E, IDT + 8 * 8 + 5
  movl $0x7E57, %eax
  REPORT_EAX
  movl $0x400, %eax
  movw %ax, %es
  FINISH
  COMMON_GDT
GUEST_END double_fault
