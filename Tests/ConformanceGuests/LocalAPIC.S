#include "guest.h"

// The local APIC: its timer, self-IPIs, priorities and EOI (SDM 3A 10).
#define APIC 0xFEE00000
GUEST local_apic
  ENTER_PROTECTED
  HANDLERS32
  movl $(CODE32 << 16) | (AT(tick) & 0xFFFF), IDT + 0x40 * 8
  movl $0x8E00, IDT + 0x40 * 8 + 4
  movl $(CODE32 << 16) | (AT(high) & 0xFFFF), IDT + 0x60 * 8
  movl $0x8E00, IDT + 0x60 * 8 + 4
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
  movl $100000, APIC + 0x380
  xorl %ebx, %ebx
2:sti
  hlt
  cli
  cmpl $3, %ebx
  jb 2b
  movl $0x10000, APIC + 0x320
  movl $0, APIC + 0x380
  // A self-IPI is requested while IF is clear, and delivered after STI's shadow.
  movl $0x00040060, APIC + 0x300
  movl APIC + 0x230, %eax
  REPORT_EAX
  xorl %ecx, %ecx
  sti
  incl %ecx
  nop
  cli
  // TPR holds back vectors of its class and below.
  movl $0x60, APIC + 0x80
  movl $0x00040060, APIC + 0x300
  sti
  nop
  nop
  cli
  movl $0x7E57, %eax
  REPORT_EAX
  movl $0x50, APIC + 0x80
  sti
  nop
  nop
  cli
  movl $0, APIC + 0x80
  // The ISR is empty at the end.
  movl APIC + 0x130, %eax
  REPORT_EAX
  FINISH
tick:
  incl %ebx
  movl $0, APIC + 0xB0
  iretl
high:
  // ISR bit 0 of 0x60…0x7F, PPR, and how far the program came.
  movl APIC + 0x130, %eax
  outl %eax, $0xF4
  movl APIC + 0xA0, %eax
  outl %eax, $0xF4
  movl %ecx, %eax
  outl %eax, $0xF4
  movl $0, APIC + 0xB0
  iretl
  COMMON_GDT
GUEST_END local_apic
