#include "guest.h"

// #AC: at CPL 3 with CR0.AM and EFLAGS.AC only (SDM 3A 6.15, interrupt 17).
.macro USER_WITH_AC done
  USER_TRY \done
  pushl $0x40002
  popfl
.endm

GUEST alignment_checks
  ENTER_PROTECTED
  HANDLERS32
  movl %cr0, %eax
  orl $0x40000, %eax
  movl %eax, %cr0
  // A doubleword read, then a word write.
  USER_WITH_AC 1f
  movl 0x30001, %eax
1:USER_WITH_AC 1f
  movw %ax, 0x30003
1:// Aligned ones and bytes pass, and the next is #UD.
  USER_WITH_AC 1f
  movl 0x30004, %eax
  movb 0x30001, %al
  ud2
1:// A stack that is not aligned to what is pushed.
  USER_WITH_AC 1f
  decl %esp
  pushl %eax
1:// Not without EFLAGS.AC.
  USER_TRY 1f
  pushl $2
  popfl
  movl 0x30001, %eax
  ud2
1:// Not at CPL 0.
  pushl $0x40002
  popfl
  movl $0x7E57, 0x30001
  movl 0x30001, %eax
  REPORT_EAX
  // Not without CR0.AM.
  movl %cr0, %eax
  andl $~0x40000, %eax
  movl %eax, %cr0
  USER_WITH_AC 1f
  movl 0x30001, %eax
  ud2
1:FINISH
  COMMON_GDT
GUEST_END alignment_checks
