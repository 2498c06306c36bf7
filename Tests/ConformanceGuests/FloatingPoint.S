#include "guest64.h"

// x87 and SSE registers live across many exits, for handover between engines.
GUEST floating_point
  ENTER_LONG
  HANDLERS64
  fninit
  movl $0x027F, 0x30000
  fldcw 0x30000
  fldpi
  fld1
  fldl2e
  movl $0xFFA0, 0x30000
  ldmxcsr 0x30000
  movl $0x3FC00000, %eax
  movd %eax, %xmm0
  movl $0x40200000, %eax
  movd %eax, %xmm15
  pshufd $0, %xmm15, %xmm15
  .irp number, 1, 2, 3, 4, 5, 6
  REPORT $\number
  .endr
  // 1.5 + 2.5, rounded as MXCSR says; then the control registers and ST(0)…ST(2).
  addss %xmm15, %xmm0
  movd %xmm0, %eax
  REPORT_EAX
  pextrw $7, %xmm15, %eax
  REPORT_EAX
  stmxcsr 0x30000
  movl 0x30000, %eax
  REPORT_EAX
  movl $0, 0x30000
  fnstcw 0x30000
  movl 0x30000, %eax
  REPORT_EAX
  fnstsw %ax
  movzwl %ax, %eax
  REPORT_EAX
  .rept 3
  fstps 0x30000
  movl 0x30000, %eax
  REPORT_EAX
  .endr
  FINISH
  COMMON_GDT
GUEST_END floating_point
