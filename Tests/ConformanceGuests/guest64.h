// 4-level paging and 64-bit mode, on top of guest.h.
#include "guest.h"

#define PML4 0x10000
#define PDPT 0x11000
#define PD 0x12000
#define PT 0x13000 // of the first 2 MiB

// Sends the next fault to the label `done`, in 64-bit code.
.macro TRY64 done
  movl $AT(\done), RESUME
  movl $AT(9991f), TRIED
9991:
.endm

// From real mode. Ends in 64-bit code at CPL 0: the first 2 MiB in 4 KiB pages, the rest of the first
// GiB in 2 MiB pages, identity-mapped and open to user mode; EFER.SCE and NXE, CR0.WP, CR4.PAE.
.macro ENTER_LONG
  cli
  lgdtl AT(gdt_pointer)
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  ljmpl $CODE32, $AT(protected_entry)
  .code32
protected_entry:
  movw $DATA, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $PML4, %edi
  xorl %eax, %eax
  movl $0x1000, %ecx
  rep stosl
  movl $PDPT | 7, PML4
  movl $PD | 7, PDPT
  movl $PT | 7, PD
  movl $PD + 8, %edi
  movl $0x2000E7, %eax
  movl $511, %ecx
0:movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  loop 0b
  movl $PT, %edi
  movl $7, %eax
  movl $512, %ecx
0:movl %eax, (%edi)
  addl $0x1000, %eax
  addl $8, %edi
  loop 0b
  movl $0x620, %eax // PAE, OSFXSR, OSXMMEXCPT
  movl %eax, %cr4
  movl $PML4, %eax
  movl %eax, %cr3
  movl $0xC0000080, %ecx
  movl $0x901, %eax // NXE, LME, SCE
  xorl %edx, %edx
  wrmsr
  movl $0x80010013, %eax
  movl %eax, %cr0
  ljmpl $CODE64, $AT(long_entry)
  .code64
long_entry:
  movl $DATA, %eax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %fs
  movw %ax, %gs
  movw %ax, %ss
  movl $KERNEL_STACK, %esp
  lidt AT(idt_pointer64)
  movl $AT(stubs64), %eax
  movl $IDT, %edi
  movl $32, %ecx
0:movw %ax, (%rdi)
  movw $CODE64, 2(%rdi)
  movw $0x8E00, 4(%rdi)
  movw $0, 6(%rdi)
  movq $0, 8(%rdi)
  addl $16, %eax
  addl $16, %edi
  decl %ecx
  jnz 0b
  movq $KERNEL_STACK, TSS+4
  movw $104, TSS+102
  movl $TASK, %eax
  ltr %ax
  jmp after_long
.endm

// After ENTER_LONG: the stubs, which report as HANDLERS32 does.
.macro HANDLERS64
  .balign 16
stubs64:
  .set vector, 0
  .rept 32
  .balign 16
  .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
  .else
    pushq $0
  .endif
  pushq $vector
  .byte 0xE9
  .long handler64 - . - 4
  .set vector, vector + 1
  .endr
  .balign 16
handler64:
  popq %rbx
  popq %rcx
  movl %ebx, %eax
  shll $16, %eax
  movw %cx, %ax
  orl $0xEE000000, %eax
  outl %eax, $0xF4
  movl 8(%rsp), %edx
  andl $3, %edx
  shll $16, %edx
  movl (%rsp), %eax
  subl TRIED, %eax
  movw %ax, %dx
  movl %edx, %eax
  outl %eax, $0xF4
  cmpl $14, %ebx
  jne 1f
  movq %cr2, %rax
  outl %eax, $0xF4
1:movl $DATA, %eax
  movw %ax, %ss
  movw %ax, %ds
  movw %ax, %es
  movl $KERNEL_STACK, %esp
  movl RESUME, %eax
  jmp *%rax
after_long:
.endm

// Goes to 64-bit CPL 3 by RETFQ, where the next fault goes to `done`.
.macro USER_TRY64 done
  movl $AT(\done), RESUME
  movl $AT(9992f), TRIED
  pushq $USER_DATA | 3
  pushq $USER_STACK
  pushq $USER_CODE64 | 3
  pushq $AT(9992f)
  lretq
9992:
.endm
