#include "guest64.h"

// SYSCALL, SYSRET, SYSENTER, SYSEXIT, and compatibility mode at CPL 3 (SDM 3A 5.8.7, 5.8.8).
GUEST system_calls
  // A TSS with room for an I/O bitmap, all clear, so that CPL 3 can report.
  movw $0x2067, AT(gdt) + TASK
  ENTER_LONG
  HANDLERS64
  // SYSCALL from CPL 0: RCX, R11, CS and SS from STAR, flags masked.
  movl $0xC0000081, %ecx
  xorl %eax, %eax
  movl $(USER_CODE32 | 3) << 16 | CODE64, %edx
  wrmsr
  movl $0xC0000082, %ecx
  movl $AT(on_syscall), %eax
  xorl %edx, %edx
  wrmsr
  movl $0xC0000084, %ecx
  movl $0x200, %eax
  wrmsr
  // To user mode, with flags as SYSRET takes them from R11.
  movl $AT(in_user), %ecx
  movl $0x202, %r11d
  sysretq
in_user:
  movl %cs, %eax
  REPORT_EAX
  movl %ss, %eax
  REPORT_EAX
  pushfq
  popq %rax
  REPORT_EAX
  movl $0x123, %ebx
  stc
  syscall
after_syscall:
  ud2
on_syscall:
  subl $AT(after_syscall), %ecx
  movl %ecx, %eax
  REPORT_EAX
  movl %r11d, %eax
  REPORT_EAX
  movl %cs, %eax
  REPORT_EAX
  movl %ss, %eax
  REPORT_EAX
  pushfq
  popq %rax
  andl $0x7300, %eax
  REPORT_EAX
  movl $KERNEL_STACK, %esp
  // SYSENTER: CS, SS, RSP and RIP from the MSRs.
  movl $0x174, %ecx
  movl $CODE64, %eax
  xorl %edx, %edx
  wrmsr
  movl $0x175, %ecx
  movl $0x1E000, %eax
  wrmsr
  movl $0x176, %ecx
  movl $AT(on_sysenter), %eax
  wrmsr
  // Compatibility mode, 32 bits, at CPL 3, by SYSRET of 32 bits.
  movl $AT(compatible), %ecx
  movl $0x2, %r11d
  movl $USER_STACK, %esp
  sysretl
  .code32
compatible:
  movl %cs, %eax
  REPORT_EAX
  // 40+ is INC EAX here, not REX; the address wraps at 32 bits.
  xorl %eax, %eax
  .byte 0x40
  REPORT_EAX
  // SP is 32 bits wide.
  pushl $0x77
  popl %eax
  REPORT_EAX
  // A fault from here arrives in the 64-bit handler.
  movl $AT(1f), RESUME
  movl $AT(0f), TRIED
0:ud2
  .code64
1:// SYSENTER from compatibility mode enters 64-bit code; SYSEXIT of 64 bits leaves it for RDX:RCX.
  movl $AT(again), %ecx
  movl $0x2, %r11d
  sysretl
  .code32
again:
  sysenter
  .code64
on_sysenter:
  movl %cs, %eax
  REPORT_EAX
  movl %ss, %eax
  REPORT_EAX
  movl %esp, %eax
  REPORT_EAX
  movl $AT(after_sysexit), %edx
  movl $USER_STACK - 16, %ecx
  sysexitq
after_sysexit:
  movl %cs, %eax
  REPORT_EAX
  movl %ss, %eax
  REPORT_EAX
  movl %esp, %eax
  REPORT_EAX
  movl $AT(1f), RESUME
  movl $AT(0f), TRIED
0:ud2
1:// With a null CS: #GP(0).
  movl $0x174, %ecx
  xorl %eax, %eax
  xorl %edx, %edx
  wrmsr
  USER_TRY64 1f
  sysenter
1:// SYSCALL without SCE.
  movl $0xC0000080, %ecx
  movl $0x900, %eax
  xorl %edx, %edx
  wrmsr
  USER_TRY64 1f
  syscall
1:FINISH
  COMMON_GDT
GUEST_END system_calls
