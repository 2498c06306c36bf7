#include "guest.h"

// What user mode may not do: CPL 3, IOPL 0, and the I/O permission bitmap (SDM 3A 6.15, 1 19.5).
GUEST user_faults
  ENTER_PROTECTED
  HANDLERS32
  USER_TRY 1f
  hlt
1:USER_TRY 1f
  cli
1:USER_TRY 1f
  movl %eax, %cr3
1:USER_TRY 1f
  movl %dr7, %eax
1:USER_TRY 1f
  lgdtl AT(gdt_pointer)
1:USER_TRY 1f
  lidtl AT(idt_pointer)
1:USER_TRY 1f
  ltr %ax
1:USER_TRY 1f
  clts
1:USER_TRY 1f
  invlpg 0
1:USER_TRY 1f
  wrmsr
1:USER_TRY 1f
  rdmsr
1:USER_TRY 1f
  wbinvd
1:// Ports: the bitmap lies beyond the TSS's limit: all are denied.
  USER_TRY 1f
  outb %al, $0x80
1:USER_TRY 1f
  inb $0x80, %al
1:// Data of DPL 0: #GP(selector).
  USER_TRY 1f
  movl $DATA, %eax
  movw %ax, %es
1:// SMSW, SGDT, STR and CPUID are not privileged: then HLT faults at the end.
  USER_TRY 1f
  smsw %ax
  str %ax
  hlt
1:// With the bitmap in place: port 0x80 denied by one bit, 0x81 allowed.
  movw $104, TSS+102
  movb $0x89, AT(gdt) + TASK + 5
  movw $0x2067, AT(gdt) + TASK
  movl $TASK, %eax
  ltr %ax
  movl $TSS + 104, %edi
  xorl %eax, %eax
  movl $0x800, %ecx
  rep stosl
  movb $0x01, TSS + 104 + 16
  USER_TRY 1f
  inb $0xF4, %al
  outb %al, $0x80
1:// A word port access needs both bits.
  USER_TRY 1f
  inw $0x7F, %ax
1:// POPF at CPL 3 leaves IF and IOPL alone.
  USER_TRY 1f
  pushl $0x3202
  popfl
  pushfl
  popl %eax
  outl %eax, $0xF4
  ud2
1:FINISH
  COMMON_GDT
GUEST_END user_faults
