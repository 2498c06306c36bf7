#include "guest.h"

// PUSHF, POPF, far calls, the interrupt table and the wrap of segment offsets (SDM 3B 21).
GUEST real_mode
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  // POPF in real mode may set IOPL and NT; bit 1 is one, 3, 5 and 15 are zero.
  pushw $0x7FD7 & ~0x0300
  popfw
  pushfw
  popw %ax
  movzwl %ax, %eax
  REPORT_EAX
  pushw $0
  popfw
  pushfw
  popw %ax
  movzwl %ax, %eax
  REPORT_EAX
  // A far call through memory, and RETF with an immediate.
  pushw $0x1234
  lcallw *far_pointer - guest_base + 0x8000
  movzwl %sp, %eax
  REPORT_EAX
  // INT: FLAGS, CS, IP on the stack; IF and TF clear in the handler, back after IRET.
  movw $AT(handler), 0x40 * 4
  movw $0, 0x40 * 4 + 2
  sti
  int $0x40
  pushfw
  popw %ax
  andl $0x200, %eax
  REPORT_EAX
  cli
  // A word at offset FFFF of DS: a segment limit violation, #GP, vector 13.
  movw $AT(fault), 13 * 4
  movw $0, 13 * 4 + 2
  movw $AT(fault), 12 * 4
  movw $0, 12 * 4 + 2
  movw $0xFFFF, %bx
tried:
  movw %es:(%bx), %ax
  // The same through SS: #SS, vector 12. Both instructions have three bytes.
  movw %ss:(%bx), %ax
  // Divide error, vector 0: the saved IP is that of the instruction.
  movw $AT(divide), 0
  movw $0, 2
  xorl %ecx, %ecx
divided:
  divw %cx
  // A push at SP = 0 wraps to FFFE.
  movw %sp, %dx
  movw $0x4000, %ax
  movw %ax, %ss
  xorw %sp, %sp
  pushw $0x4321
  movzwl %sp, %eax
  REPORT_EAX
  xorw %ax, %ax
  movw %ax, %ss
  movw %dx, %sp
  movw $0x4FFF, %ax
  movw %ax, %es
  movw %es:0xE, %ax
  movzwl %ax, %eax
  REPORT_EAX
  // A string store that wraps DI at 64 KiB.
  movw $0x3000, %ax
  movw %ax, %es
  movw $0xFFFE, %di
  movw $4, %cx
  movb $0xA5, %al
  rep stosb
  movzwl %di, %eax
  REPORT_EAX
  movl %es:0, %eax
  andl $0xFFFF, %eax
  REPORT_EAX
  // A20 is open: FFFF:0010 is 0x100000.
  movw $0xFFFF, %ax
  movw %ax, %es
  movb $0x77, %es:0x10
  movb 0, %al
  cmpb $0x77, %al
  sete %al
  movzbl %al, %eax
  REPORT_EAX
  FINISH

far_pointer:
  .word AT(far_target), 0
far_target:
  movw %sp, %bp
  movzwl 2(%bp), %eax
  REPORT_EAX
  lretw $2

handler:
  pushfw
  popw %ax
  andl $0x300, %eax
  REPORT_EAX
  iretw

// Reports that it came, and where from, and skips the 3 bytes of the instruction.
fault:
  movw %sp, %bp
  movzwl (%bp), %eax
  subl $AT(tried), %eax
  REPORT_EAX
  addw $3, (%bp)
  iretw

divide:
  movw %sp, %bp
  movzwl (%bp), %eax
  subl $AT(divided), %eax
  REPORT_EAX
  addw $2, (%bp)
  iretw
GUEST_END real_mode
