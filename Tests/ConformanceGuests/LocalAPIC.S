#include "guest.h"

// The local APIC's id and its timer (SDM 3A 10.5.4).
#define APIC 0xFEE00000
GUEST local_apic
  ENTER_PROTECTED
  HANDLERS32
  movl $(CODE32 << 16) | (AT(tick) & 0xFFFF), IDT + 0x40 * 8
  movl $0x8E00, IDT + 0x40 * 8 + 4
  movl APIC + 0x30, %eax
  andl $0xFF, %eax
  REPORT_EAX
  movl $0x1FF, APIC + 0xF0
  // One shot, divided by 1.
  movl $0xB, APIC + 0x3E0
  movl $0x40, APIC + 0x320
  movl $10000, APIC + 0x380
  xorl %ebx, %ebx
  sti
  hlt
  cli
  movl %ebx, %eax
  REPORT_EAX
  movl APIC + 0x390, %eax
  REPORT_EAX
  // Periodic: three ticks.
  movl $0x20040, APIC + 0x320
  movl $5000000, APIC + 0x380
  xorl %ebx, %ebx
2:sti
  hlt
  cli
  cmpl $3, %ebx
  jb 2b
  movl $0x10000, APIC + 0x320
  movl $0, APIC + 0x380
  FINISH
tick:
  incl %ebx
  movl $0, APIC + 0xB0
  iretl
  COMMON_GDT
GUEST_END local_apic
