#include "guest.h"

// Single steps, breakpoints, interrupt shadows (SDM 3B 17.2, 17.3).
GUEST debugging
  ENTER_PROTECTED
  HANDLERS32
  // TF: a trap after the instruction that follows POPF. DR6.BS.
  pushl $0x102
  TRY 1f
  popfl // 1 byte
  nop
  nop
1:movl %dr6, %eax
  REPORT_EAX
  xorl %eax, %eax
  movl %eax, %dr6
  // POP SS holds the trap back by one instruction.
  pushl $DATA
  pushl $0x102
  TRY 1f
  popfl
  popl %ss
  nop
  nop
1:movl %dr6, %eax
  REPORT_EAX
  // An instruction breakpoint is a fault, DR6.B0; DR7.LE, GE and bit 10 as they are.
  xorl %eax, %eax
  movl %eax, %dr6
  movl $AT(9f), %eax
  movl %eax, %dr0
  movl $0x401, %eax
  movl %eax, %dr7
  TRY 1f
  nop
9:nop
1:movl %dr6, %eax
  REPORT_EAX
  // A write breakpoint of 4 bytes in DR1 is a trap; a read does not hit it.
  xorl %eax, %eax
  movl %eax, %dr6
  movl $0x600, %eax
  movl %eax, %dr1
  movl $0x00D00404, %eax
  movl %eax, %dr7
  movl 0x600, %eax
  TRY 1f
  movb %al, 0x602 // 5 bytes
  nop
1:movl %dr6, %eax
  REPORT_EAX
  // DR7.GD: an access to a debug register faults with DR6.BD, and GD is cleared.
  xorl %eax, %eax
  movl %eax, %dr6
  movl $0x2400, %eax
  movl %eax, %dr7
  TRY 1f
  movl %dr0, %eax
1:movl %dr6, %eax
  REPORT_EAX
  movl %dr7, %eax
  REPORT_EAX
  movl $0x400, %eax
  movl %eax, %dr7
  // DR4 is DR6 without CR4.DE, and #UD with it.
  xorl %eax, %eax
  movl %eax, %dr6
  .byte 0x0F, 0x21, 0xE0
  REPORT_EAX
  movl %cr4, %eax
  orl $8, %eax
  movl %eax, %cr4
  TRY 1f
  .byte 0x0F, 0x21, 0xE0
1:// ICEBP: #DB as a trap.
  TRY 1f
  .byte 0xF1
1:FINISH
  COMMON_GDT
GUEST_END debugging
