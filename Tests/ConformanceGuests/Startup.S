#include "guest.h"

// INIT and SIPI: the second processor starts at vector 9, 0x9000, in real mode (SDM 3A 8.4).
#define APIC 0xFEE00000
GUEST startup
  ENTER_PROTECTED
  HANDLERS32
  // Its code, at 0x9000, which lies clear of this guest's.
  movl $AT(second), %esi
  movl $0x9000, %edi
  movl $second_end - second, %ecx
  rep movsb
  movl $0, 0x600
  movl $0x1FF, APIC + 0xF0
  movl $1 << 24, APIC + 0x310
  movl $0x00004500, APIC + 0x300
  movl $0x00004609, APIC + 0x300
1:pause
  cmpl $0, 0x600
  je 1b
  movl 0x600, %eax
  REPORT_EAX
  // It waits for a NMI, which we send as an IPI.
  movl $0x00004400, APIC + 0x300
1:pause
  cmpl $0, 0x604
  je 1b
  movl 0x604, %eax
  REPORT_EAX
  // A locked exchange between the two is one count each.
  movl $100, %ecx
1:lock incl 0x608
  loop 1b
1:pause
  cmpl $0, 0x60C
  je 1b
  movl 0x608, %eax
  REPORT_EAX
  FINISH
  .code16
second:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %ss
  movw $0x7000, %sp
  movw $0x9000 + on_nmi - second, 2 * 4
  movw $0, 2 * 4 + 2
  movl $0, 0x604
  movl $0, 0x608
  movl $0, 0x60C
  // CS as SIPI sets it, and IP.
  call 1f
1:popw %bx
  movw %cs, %ax
  shll $16, %eax
  movw %bx, %ax
  subw $1b - second, %ax
  movl %eax, 0x600
2:hlt
  jmp 2b
on_nmi:
  movl $0x99, 0x604
  movw $100, %cx
1:lock incl 0x608
  loop 1b
  movl $1, 0x60C
  iretw
second_end:
  COMMON_GDT
GUEST_END startup
