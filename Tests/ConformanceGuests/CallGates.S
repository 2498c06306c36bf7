#include "guest.h"

// Call gates and conforming code (SDM 3A 5.8).
GUEST call_gates
  ENTER_PROTECTED
  HANDLERS32
  // FREE: a 32-bit call gate of DPL 3 to CODE32, with two parameters.
  movl $(CODE32 << 16) | (AT(target) & 0xFFFF), AT(gdt_free)
  movl $0x0000EC02, AT(gdt_free) + 4
  // At CPL 0: no stack switch, no parameters copied.
  pushl $0x11
  pushl $0x22
  lcall $FREE, $0
  movl %esp, %eax
  REPORT_EAX
  addl $8, %esp
  // IOPL 3, so that CPL 3 can report.
  pushl $0x3002
  popfl
  // From CPL 3: SS0:ESP0 from the TSS, parameters copied, RETF 8 takes them off both stacks.
  movl $AT(3f), RESUME
  pushl $USER_DATA | 3
  pushl $USER_STACK
  pushl $USER_CODE32 | 3
  pushl $AT(1f)
  lretl
1:pushl $0x33
  pushl $0x44
  lcall $FREE | 3, $0
  movl %esp, %eax
  REPORT_EAX
  movl %cs, %eax
  REPORT_EAX
  // DS held a segment of DPL 0 when CPL 3 came back: it is null now.
  movl %ds, %eax
  REPORT_EAX
  ud2
3:// A gate of DPL 0 from CPL 3: #GP(gate).
  movb $0x8C, AT(gdt_free) + 5
  USER_TRY 1f
  lcall $FREE | 3, $0
1:// A gate that is not present: #NP(gate).
  movb $0x6C, AT(gdt_free) + 5
  USER_TRY 1f
  lcall $FREE | 3, $0
1:// A gate to data: #GP(target).
  movb $0xEC, AT(gdt_free) + 5
  movw $DATA, AT(gdt_free) + 2
  USER_TRY 1f
  lcall $FREE | 3, $0
1:// A JMP through a gate to non-conforming code of DPL 0 from CPL 3: #GP(target).
  movw $CODE32, AT(gdt_free) + 2
  USER_TRY 1f
  ljmp $FREE | 3, $0
1:// A gate to code of DPL 1, for which the TSS has an SS1 of DPL 3: #TS(SS1), then one that is null.
  movl $0x0000FFFF, AT(gdt_free) + 16
  movl $0x00CFBB00, AT(gdt_free) + 20
  movw $FREE + 16, AT(gdt_free) + 2
  movl $USER_DATA, TSS + 16
  USER_TRY 1f
  lcall $FREE | 3, $0
1:movl $0, TSS + 16
  USER_TRY 1f
  lcall $FREE | 3, $0
1:
  // Conforming code is called at the caller's CPL.
  movl $0x0000FFFF, AT(gdt_free) + 8
  movl $0x00CF9F00, AT(gdt_free) + 12
  USER_TRY 1f
  lcall $FREE + 8, $AT(conforming)
1:// RETF to an inner level: #GP(selector).
  USER_TRY 1f
  pushl $CODE32
  pushl $AT(1f)
  lretl
1:FINISH

target:
  movl $KERNEL_STACK, %eax
  subl %esp, %eax
  outl %eax, $0xF4
  movl 4(%esp), %eax
  outl %eax, $0xF4
  movl 8(%esp), %eax
  outl %eax, $0xF4
  movl 12(%esp), %eax
  outl %eax, $0xF4
  testl $3, 4(%esp)
  jz 1f
  movl 16(%esp), %eax
  outl %eax, $0xF4
  movl $DATA, %eax
  movw %ax, %ds
  lretl $8
1:lretl
conforming:
  movl %cs, %eax
  outl %eax, $0xF4
  ud2
  COMMON_GDT
GUEST_END call_gates
