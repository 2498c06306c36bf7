#include "guest.h"

// Code that changes itself, and string instructions that fault half way.
GUEST code
  ENTER_PROTECTED
  HANDLERS32
  // The store changes an immediate further on in the same run of instructions.
  xorl %ebx, %ebx
  movl $3, %ecx
2:movl %ecx, AT(3f) + 1
  jmp 3f
3:movl $0, %eax
  addl %eax, %ebx
  loop 2b
  movl %ebx, %eax
  REPORT_EAX
  // Straight ahead without a jump.
  movb $0x43, AT(4f) // INC EBX over NOP
4:nop
  movl %ebx, %eax
  REPORT_EAX
  // Code copied elsewhere, called, replaced, called again.
  movl $0xC3012AB8, 0x40000 // mov $..012A, %eax …
  movl $0x00012AB8, 0x40000
  movw $0xC300, 0x40004
  movl $0x40000, %edx
  call *%edx
  REPORT_EAX
  movb $0x2B, 0x40001
  call *%edx
  REPORT_EAX
  // By a string store.
  movl $0x40001, %edi
  movl $2, %ecx
  movb $0x11, %al
  rep stosb
  call *%edx
  REPORT_EAX
  // REP MOVSB that runs over a segment's end: registers say how far it came.
  movl $0x0000FFFF, AT(gdt_free)
  movl $0x00409305, AT(gdt_free) + 4 // base 0x50000, limit 0xFFFF
  movl $FREE, %eax
  movw %ax, %es
  movl $0xFFF8, %edi
  movl $0x8000, %esi
  movl $32, %ecx
  movl $AT(1f), RESUME
  movl $AT(0f), TRIED
0:rep movsb
1:movl %ecx, 0x600
  movl %esi, %eax
  REPORT_EAX
  movl %edi, %eax
  REPORT_EAX
  // REPE CMPSB, REPNE SCASB, and LODS backwards.
  movl $DATA, %eax
  movw %ax, %es
  movl $0x8000, %esi
  movl $0x8000, %edi
  movl $100, %ecx
  repe cmpsb
  movl %ecx, %eax
  REPORT_EAX
  movl $0x12345678, 0x700
  movl $0x700, %edi
  movl $4, %ecx
  movb $0x34, %al
  repne scasb
  movl %edi, %eax
  REPORT_EAX
  std
  movl $0x704, %esi
  lodsl
  lodsl
  cld
  REPORT_EAX
  movl %esi, %eax
  REPORT_EAX
  // REP OUTSL: three doublewords to the report port; REP INSB from it.
  movl $0x11, 0x720
  movl $0x22, 0x724
  movl $0x33, 0x728
  movl $0x720, %esi
  movl $3, %ecx
  movl $0xF4, %edx
  rep outsl
  movl $0x730, %edi
  movl $3, %ecx
  movl $0, 0x730
  rep insb
  movl 0x730, %eax
  REPORT_EAX
  FINISH
  COMMON_GDT
GUEST_END code
