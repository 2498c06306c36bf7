#include "guest64.h"

// 64-bit mode's own: canonical addresses, IST, IRETQ, SWAPGS, compatibility mode (SDM 3A 6.14).
GUEST long_mode
  ENTER_LONG
  HANDLERS64
  // A non-canonical address: #GP(0); through RSP or RBP: #SS(0).
  movabsq $0x0000800000000000, %r12
  TRY64 1f
  movb (%r12), %al
1:movq %r12, %rbp
  TRY64 1f
  movb 0(%rbp), %al
1:// A jump there faults at the jump.
  TRY64 1f
  jmp *%r12
1:// WRMSR of a base that is canonical with no number of paging levels (KVM checks by the host's); WRMSR of a reserved bit
  // of EFER; LME under paging.
  movl $0xC0000100, %ecx
  xorl %eax, %eax
  movl $0x01000000, %edx
  TRY64 1f
  wrmsr
1:movl $0xC0000080, %ecx
  movl $0x10D01 | 2, %eax
  xorl %edx, %edx
  TRY64 1f
  wrmsr
1:movl $0xC0000080, %ecx
  movl $0x801, %eax
  xorl %edx, %edx
  TRY64 1f
  wrmsr
1:// Opcodes that 64-bit mode took away.
  TRY64 1f
  .byte 0x06 // push %es
1:TRY64 1f
  .byte 0x27 // daa
1:TRY64 1f
  .byte 0x9A, 0, 0, 0, 0, 0, 0 // lcall
1:// PAE cannot be turned off, nor CR0.PG without leaving 64-bit code.
  movl $0x600, %eax
  TRY64 1f
  movq %rax, %cr4
1:movl $0x00000013, %eax
  TRY64 1f
  movq %rax, %cr0
1:// SWAPGS, and the 32-bit load of GS, which clears the base.
  movl $0xC0000101, %ecx
  movl $0x11111111, %eax
  xorl %edx, %edx
  wrmsr
  movl $0xC0000102, %ecx
  movl $0x22222222, %eax
  wrmsr
  swapgs
  movl $0xC0000101, %ecx
  rdmsr
  REPORT_EAX
  movl $0xC0000102, %ecx
  rdmsr
  REPORT_EAX
  // IST: vector 0x40 with IST 1. RSP is aligned to 16 before the push: 5 words are 40 bytes.
  movq $0x26000 + 8, TSS + 0x24
  movl $(CODE64 << 16) | (AT(on_ist) & 0xFFFF), IDT + 0x40 * 16
  movl $0x8E01, IDT + 0x40 * 16 + 4
  movq $0, IDT + 0x40 * 16 + 8
  movl $AT(1f), RESUME
  int $0x40
1:// IRETQ pops SS:RSP always.
  movl $KERNEL_STACK, %esp
  pushq $DATA
  pushq $0x1F000
  pushq $0x202
  pushq $CODE64
  pushq $AT(1f)
  iretq
1:movl %esp, %eax
  REPORT_EAX
  pushfq
  popq %rax
  andl $0x200, %eax
  REPORT_EAX
  cli
  movl $KERNEL_STACK, %esp
  jmp 1f
on_ist:
  movl %esp, %eax
  REPORT_EAX
  movl 24(%rsp), %eax
  REPORT_EAX
  movl 32(%rsp), %eax
  REPORT_EAX
  movl $KERNEL_STACK, %esp
  movl RESUME, %eax
  jmp *%rax
1:// A far jump by memory to compatibility code at CPL 0, and back.
  ljmpl *AT(to_compatible)
  .code32
in_compatible:
  movl %cs, %eax
  REPORT_EAX
  ljmpl $CODE64, $AT(back)
  .code64
back:
  movl %cs, %eax
  REPORT_EAX
  // A descriptor with L and D: #GP(selector).
  movl $0x0000FFFF, AT(gdt_free)
  movl $0x00EF9B00, AT(gdt_free) + 4
  TRY64 1f
  ljmpl *AT(to_bad)
1:FINISH
to_compatible:
  .long AT(in_compatible)
  .word CODE32
to_bad:
  .long AT(back)
  .word FREE
  COMMON_GDT
GUEST_END long_mode
