#include "guest.h"

// Faults of segmentation in 32-bit protected mode and their error codes (SDM 3A 6.15).
GUEST protected_faults
  ENTER_PROTECTED
  HANDLERS32
  // A selector beyond the GDT's limit: #GP(selector), RPL bits not part of the error code.
  movl $0x203, %eax
  TRY 1f
  movw %ax, %es
1:// A selector beyond the LDT's limit, with the TI bit.
  movl $0x1F, %eax
  TRY 1f
  movw %ax, %es
1:// A data segment that is not present: #NP(selector).
  movl $0x00CF1300, AT(gdt_free) + 4
  movl $FREE, %eax
  TRY 1f
  movw %ax, %fs
1:// The same for SS: #SS(selector).
  movl $FREE, %eax
  TRY 1f
  movw %ax, %ss
1:// SS with a null selector: #GP(0).
  xorl %eax, %eax
  TRY 1f
  movw %ax, %ss
1:// SS with a code segment: #GP(selector).
  movl $CODE32, %eax
  TRY 1f
  movw %ax, %ss
1:// SS whose DPL is not the CPL.
  movl $USER_DATA, %eax
  TRY 1f
  movw %ax, %ss
1:// A null DS loads, and its use faults: #GP(0).
  xorl %eax, %eax
  movw %ax, %fs
  TRY 1f
  movb %fs:0, %al
1:// Execute-only code as data.
  movl $0x00CF9900, AT(gdt_free) + 4
  movl $FREE, %eax
  TRY 1f
  movw %ax, %fs
1:// A write to a read-only segment.
  movl $0x0000FFFF, AT(gdt_free)
  movl $0x00CF9100, AT(gdt_free) + 4
  movl $FREE, %eax
  movw %ax, %fs
  TRY 1f
  movb %al, %fs:0x600
1:// Beyond the limit, byte granular: 0x0FFF is the last byte.
  movl $0x00000FFF, AT(gdt_free)
  movl $0x00409300, AT(gdt_free) + 4
  movl $FREE, %eax
  movw %ax, %fs
  movb %fs:0xFFF, %al
  TRY 1f
  movw %fs:0xFFF, %ax
1:// Expand-down: the last byte below the limit is out, the first above is in.
  movl $0x00409700, AT(gdt_free) + 4
  movl $FREE, %eax
  movw %ax, %fs
  movb %fs:0x1000, %al
  TRY 1f
  movb %fs:0xFFF, %al
1:// Beyond the limit of SS: #SS(0).
  movl $0x00000FFF, AT(gdt_free)
  movl $0x00409300, AT(gdt_free) + 4
  movl $FREE, %eax
  movl $0xFFE, %ebp
  movw %ax, %ss
  movl $0xF00, %esp
  TRY 1f
  movl (%ebp), %eax
1:movl $DATA, %eax
  movw %ax, %ss
  movl $KERNEL_STACK, %esp
  // A far jump to data: #GP(selector); to a null selector: #GP(0); not present: #NP(selector).
  TRY 1f
  ljmpl $DATA, $0
1:TRY 1f
  ljmpl $0, $0
1:movl $0x00CF1B00, AT(gdt_free) + 4
  TRY 1f
  ljmpl $FREE, $0
1:// A far jump to code of another privilege.
  TRY 1f
  ljmpl $USER_CODE32, $0
1:// LTR of a busy TSS: #GP(selector).
  movl $TASK, %eax
  TRY 1f
  ltr %ax
1:// An interrupt through a gate beyond the IDT: #GP(vector * 8 + 2).
  movl $0x00000000, IDT + 0x80 * 8
  movl $0x00000000, IDT + 0x80 * 8 + 4
  TRY 1f
  int $0x80
1:// A gate that is not present: #NP(vector * 8 + 2).
  movl $CODE32 << 16, IDT + 0x80 * 8
  movl $0x00000E00, IDT + 0x80 * 8 + 4
  TRY 1f
  int $0x80
1:// A gate to a data segment.
  movl $DATA << 16, IDT + 0x80 * 8
  movl $0x00008E00, IDT + 0x80 * 8 + 4
  TRY 1f
  int $0x80
1:// INT3 and INTO are traps: EIP after the instruction. UD2 is a fault.
  TRY 1f
  int3
1:movb $0x7F, %al
  addb $1, %al
  TRY 1f
  into
1:TRY 1f
  ud2
1:// BOUND out of range, DIV by zero and of a quotient too large.
  movl $1, 0x600
  movl $2, 0x604
  movl $3, %eax
  TRY 1f
  .byte 0x62, 0x05 // bound %eax, 0x600
  .long 0x600
1:xorl %ecx, %ecx
  TRY 1f
  divl %ecx
1:movl $1, %ecx
  movl $1, %edx
  TRY 1f
  divl %ecx
1:// LOCK where it is not allowed, a privileged register that is not there.
  TRY 1f
  .byte 0xF0, 0x90
1:TRY 1f
  .byte 0x0F, 0x20, 0xC8 // mov %cr1, %eax
1:// #NM with TS, and with EM.
  movl %cr0, %eax
  orl $8, %eax
  movl %eax, %cr0
  TRY 1f
  fnop
1:clts
  // CR0 with PG and not PE, with NW and not CD: #GP(0).
  movl $0x80000010, %eax
  TRY 1f
  movl %eax, %cr0
1:movl %cr0, %eax
  andl $~0x40000000, %eax
  orl $0x20000000, %eax
  TRY 1f
  movl %eax, %cr0
1:// A reserved bit of CR4; an MSR that does not exist.
  movl $0x80000000, %eax
  TRY 1f
  movl %eax, %cr4
1:// An instruction of more than 15 bytes.
  TRY 1f
  .byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
1:FINISH
  COMMON_GDT
GUEST_END protected_faults
