#include "guest.h"

// x2APIC mode: registers as MSRs, SELF IPI, ICR in one write, and the TSC-deadline timer
// (SDM 3A 11.12, 11.5.4.1).
.macro READ_MSR index
  movl $\index, %ecx
  rdmsr
.endm

.macro WRITE_MSR index, low, high=0
  movl $\index, %ecx
  movl $\low, %eax
  movl $\high, %edx
  wrmsr
.endm

GUEST x2apic
  ENTER_PROTECTED
  HANDLERS32
  movl $(CODE32 << 16) | (AT(tick) & 0xFFFF), IDT + 0x40 * 8
  movl $0x8E00, IDT + 0x40 * 8 + 4
  movl $(CODE32 << 16) | (AT(message) & 0xFFFF), IDT + 0x60 * 8
  movl $0x8E00, IDT + 0x60 * 8 + 4
  // Its MSRs are not there before.
  movl $0x802, %ecx
  TRY 1f
  rdmsr
1:READ_MSR 0x1B
  orl $0x400, %eax
  wrmsr
  READ_MSR 0x802
  REPORT_EAX
  WRITE_MSR 0x80F, 0x1FF
  // To itself, by SELF IPI and by ICR.
  WRITE_MSR 0x83F, 0x60
  sti
  nop
  nop
  cli
  WRITE_MSR 0x830, 0x60
  sti
  nop
  nop
  cli
  // #GP: the ID is read-only, EOI takes 0 only, the way back to xAPIC is closed.
  movl $0x802, %ecx
  xorl %eax, %eax
  xorl %edx, %edx
  TRY 1f
  wrmsr
1:movl $0x80B, %ecx
  movl $1, %eax
  xorl %edx, %edx
  TRY 1f
  wrmsr
1:READ_MSR 0x1B
  andl $~0x400, %eax
  TRY 1f
  wrmsr
1:// The timer at a moment of the TSC; then the deadline reads 0.
  xorl %ebx, %ebx
  WRITE_MSR 0x832, 0x40040
  rdtsc
  addl $1000000, %eax
  adcl $0, %edx
  movl $0x6E0, %ecx
  wrmsr
2:sti
  hlt
  cli
  testl %ebx, %ebx
  jz 2b
  REPORT %ebx
  READ_MSR 0x6E0
  orl %edx, %eax
  REPORT_EAX
  // A deadline that has passed fires at once.
  WRITE_MSR 0x6E0, 1
3:sti
  hlt
  cli
  cmpl $2, %ebx
  jb 3b
  REPORT %ebx
  FINISH
tick:
  incl %ebx
  WRITE_MSR 0x80B, 0
  iretl
message:
  // ISR bit 0 of 0x60…0x7F.
  READ_MSR 0x813
  REPORT_EAX
  WRITE_MSR 0x80B, 0
  iretl
  COMMON_GDT
GUEST_END x2apic
