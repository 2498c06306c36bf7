#include "guest.h"

// Interrupt, trap and call gates with and without a change of privilege (SDM 3A 6.12.1, 5.8.5).

// Reports CS, the distance of ESP from the kernel stack's top, IF, and the frame's words.
GUEST gates
  ENTER_PROTECTED
  HANDLERS32
  // Interrupt gate 0x40 clears IF, trap gate 0x41 does not; same privilege: three words.
  movl $(CODE32 << 16) | (AT(seen) & 0xFFFF), IDT + 0x40 * 8
  movl $0x8E00, IDT + 0x40 * 8 + 4
  movl $(CODE32 << 16) | (AT(seen) & 0xFFFF), IDT + 0x41 * 8
  movl $0x8F00, IDT + 0x41 * 8 + 4
  sti
  int $0x40
  int $0x41
  // A 16-bit gate pushes words.
  movl $(CODE32 << 16) | (AT(seen16) & 0xFFFF), IDT + 0x42 * 8
  movl $0x8600, IDT + 0x42 * 8 + 4
  movl %esp, %edi
  int $0x42
  movl %edi, %esp
  cli
  // Through DPL 3 gates from CPL 3: five words.
  movb $0xEE, IDT + 0x40 * 8 + 5
  movl $AT(2f), RESUME
  pushl $USER_DATA | 3
  pushl $USER_STACK
  pushl $USER_CODE32 | 3
  pushl $AT(1f)
  lretl
1:int $0x40
  ud2
2:// A gate of DPL 0 refuses INT n from CPL 3.
  USER_TRY 1f
  int $0x41
1:// INT3 through DPL 3.
  movb $0xEE, IDT + 3 * 8 + 5
  USER_TRY 1f
  int3
1:FINISH

seen:
  movl %cs, %eax
  outl %eax, $0xF4
  movl $KERNEL_STACK, %eax
  subl %esp, %eax
  outl %eax, $0xF4
  pushfl
  popl %eax
  andl $0x4300, %eax
  outl %eax, $0xF4
  movl 4(%esp), %eax
  outl %eax, $0xF4
  testl $3, 4(%esp)
  jnz 1f
  iretl
1:movl $DATA, %eax
  movw %ax, %ds
  movl 12(%esp), %eax
  outl %eax, $0xF4
  movl 16(%esp), %eax
  outl %eax, $0xF4
  movl $KERNEL_STACK, %esp
  jmp *RESUME

// Reports the size of its frame, the saved CS, and goes back.
seen16:
  movl $KERNEL_STACK, %eax
  subl %esp, %eax
  outl %eax, $0xF4
  movzwl 2(%esp), %eax
  outl %eax, $0xF4
  movzwl (%esp), %eax
  jmp *%eax
  COMMON_GDT
GUEST_END gates
