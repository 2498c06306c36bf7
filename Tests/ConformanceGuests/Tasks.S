#include "guest.h"

// Hardware task switches (SDM 3A 7.3): by far jump, far call and IRET, and through a task gate.
#define OTHER 0xA800 // the second TSS
GUEST tasks
  ENTER_PROTECTED
  HANDLERS32
  // FREE: a TSS of 32 bits for the other task.
  movl $(OTHER << 16) | 0x67, AT(gdt_free)
  movl $0x8900, AT(gdt_free) + 4
  movl $OTHER, %edi
  xorl %eax, %eax
  movl $26, %ecx
  rep stosl
  movl $AT(other), OTHER + 0x20
  movl $2, OTHER + 0x24
  movl $0xAAAA, OTHER + 0x28
  movl $0x1F000, OTHER + 0x38
  movl $DATA, OTHER + 0x48
  movl $CODE32, OTHER + 0x4C
  movl $DATA, OTHER + 0x50
  movl $DATA, OTHER + 0x54
  movl $0x1234, %ebx
  lcall $FREE, $0
  // Back: registers as before, the other TSS no longer busy, TS set.
  movl %ebx, %eax
  REPORT_EAX
  movzbl AT(gdt_free) + 5, %eax
  REPORT_EAX
  movzbl AT(gdt) + TASK + 5, %eax
  REPORT_EAX
  str %eax
  REPORT_EAX
  movl %cr0, %eax
  andl $8, %eax
  REPORT_EAX
  clts
  // A task that is not present: #NP; one that is busy: #GP for a call.
  movb $0x09, AT(gdt_free) + 5
  TRY 1f
  lcall $FREE, $0
1:movb $0x8B, AT(gdt_free) + 5
  TRY 1f
  lcall $FREE, $0
1:// A TSS that is too short: #TS(selector).
  movb $0x89, AT(gdt_free) + 5
  movb $0x66, AT(gdt_free)
  TRY 1f
  lcall $FREE, $0
1:movb $0x67, AT(gdt_free)
  // Through a task gate, with an error code on the new task's stack.
  movl $AT(gate_task), OTHER + 0x20
  movl $0x1F000, OTHER + 0x38
  movl $FREE << 16, IDT + 13 * 8
  movl $0x8500, IDT + 13 * 8 + 4
  movl $0x400, %eax
  movw %ax, %es
  nop
  nop
  // The other task came back behind the instruction.
  FINISH

other:
  str %eax
  REPORT_EAX
  movzwl OTHER, %eax
  REPORT_EAX
  pushfl
  popl %eax
  andl $0x4000, %eax
  REPORT_EAX
  movl %esp, %eax
  REPORT_EAX
  movzbl AT(gdt) + TASK + 5, %eax
  REPORT_EAX
  iretl

gate_task:
  popl %eax
  REPORT_EAX
  movzwl OTHER, %eax
  REPORT_EAX
  addl $2, TSS + 0x20
  iretl
  COMMON_GDT
GUEST_END tasks
