#include "guest.h"

// The local APIC's self-IPIs, priorities and EOI (SDM 3A 10.8).
#define APIC 0xFEE00000
GUEST apic_priorities
  ENTER_PROTECTED
  HANDLERS32
  movl $(CODE32 << 16) | (AT(high) & 0xFFFF), IDT + 0x60 * 8
  movl $0x8E00, IDT + 0x60 * 8 + 4
  movl $0x1FF, APIC + 0xF0
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
GUEST_END apic_priorities
