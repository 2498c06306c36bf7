// What all guests share, one guest a file. A guest starts in real mode at 0000:8000 with SS:SP = 0000:7C00, reports
// 32-bit values by OUT to port 0xF4 and ends by OUT to port 0xF5.
//
// Memory: 0x500 variables, 0x7C00 real-mode stack, 0x8000 code, 0xC000 TSS, 0xF000 IDT,
// 0x10000…0x1FFFF page tables, 0x20000 kernel stack (top), 0x28000 user stack (top), 0x30000… free.

// Where a fault sends the guest on, and where the tried instruction starts.
#define RESUME 0x500
#define TRIED 0x508
#define TSS 0xC000
#define IDT 0xF000
#define KERNEL_STACK 0x20000
#define USER_STACK 0x28000

// The common GDT.
#define CODE32 0x08
#define CODE64 0x10
#define DATA 0x18
#define USER_CODE32 0x20
#define USER_DATA 0x28
#define USER_CODE64 0x30
#define USER_DATA_AGAIN 0x38
#define CODE16 0x40
#define DATA16 0x48
#define TASK 0x50 // two slots in 64-bit mode
#define FREE 0x60 // eight slots for the guest's own

// The guest address of a label.
#define AT(label) ((label) - guest_base + 0x8000)

.macro GUEST name
  .section .rodata.guests, "a"
  .balign 16
guest_base:
guest_start_\name :
  .pushsection .rodata.guest_names, "a"
guest_name_\name : .asciz "\name"
  .popsection
  .pushsection conformance_guests, "aw"
  .balign 8
  .quad guest_name_\name, guest_start_\name, guest_end_\name
  .popsection
  .code16
.endm

.macro GUEST_END name
guest_end_\name :
.endm

.macro REPORT value
  movl \value, %eax
  outl %eax, $0xF4
.endm

// EAX as it is.
.macro REPORT_EAX
  outl %eax, $0xF4
.endm

.macro FINISH
  outb %al, $0xF5
  cli
  hlt
.endm

// Sends the next fault to the label `done`, and reports it as seen from here.
.macro TRY done
  movl $AT(\done), RESUME
  movl $AT(9991f), TRIED
9991:
.endm

// ---- 32-bit protected mode ----

// Goes to CPL 3, where the next fault goes to `done`, at CPL 0. By RETF, since some KVMs cannot
// emulate IRET.
.macro USER_TRY done
  movl $KERNEL_STACK, TSS+4
  movl $AT(\done), RESUME
  movl $AT(9992f), TRIED
  pushl $USER_DATA | 3
  pushl $USER_STACK
  pushl $USER_CODE32 | 3
  pushl $AT(9992f)
  movl $USER_DATA | 3, %eax
  movw %ax, %ds
  movw %ax, %es
  lretl
9992:
.endm

.macro COMMON_GDT
  .balign 8
gdt:
  .quad 0
  .quad 0x00CF9B000000FFFF // 08 code32
  .quad 0x00AF9B000000FFFF // 10 code64
  .quad 0x00CF93000000FFFF // 18 data
  .quad 0x00CFFB000000FFFF // 20 user code32
  .quad 0x00CFF3000000FFFF // 28 user data
  .quad 0x00AFFB000000FFFF // 30 user code64
  .quad 0x00CFF3000000FFFF // 38 user data
  .quad 0x00009B000000FFFF // 40 code16
  .quad 0x000093000000FFFF // 48 data16
  .quad 0x0000890000000067 | (TSS << 16) // 50 TSS
  .quad 0
gdt_free:
  .quad 0, 0, 0, 0, 0, 0, 0, 0 // 60…98
gdt_end:
gdt_pointer:
  .word gdt_end - gdt - 1
  .long AT(gdt)
idt_pointer:
  .word 0x7FF
  .long IDT
idt_pointer64:
  .word 0xFFF
  .quad IDT
.endm

// From real mode, with interrupts off. Ends in 32-bit code with flat segments, an IDT whose 32
// exceptions report, and a TSS with a kernel stack.
.macro ENTER_PROTECTED
  cli
  lgdtl AT(gdt_pointer)
  lidtl AT(idt_pointer)
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  ljmpl $CODE32, $AT(protected_entry)
  .code32
protected_entry:
  movw $DATA, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %fs
  movw %ax, %gs
  movw %ax, %ss
  movl $KERNEL_STACK, %esp
  // 32 interrupt gates to stubs of 16 bytes.
  movl $AT(stubs32), %eax
  movl $IDT, %edi
  movl $32, %ecx
0:movw %ax, (%edi)
  movw $CODE32, 2(%edi)
  movw $0x8E00, 4(%edi)
  movw $0, 6(%edi)
  addl $16, %eax
  addl $8, %edi
  loop 0b
  movl $KERNEL_STACK, TSS+4
  movl $DATA, TSS+8
  movw $104, TSS+102
  movw $TASK, %ax
  ltr %ax
  jmp after_protected
.endm

// After ENTER_PROTECTED: the stubs. A fault is reported as 0xEE, vector, error code (16 bits), then
// as saved CS's RPL in bits 23:16 and saved EIP less the tried instruction in bits 15:0, then CR2
// for #PF; the guest goes on at RESUME, at CPL 0 with flat segments.
.macro HANDLERS32
  .balign 16
stubs32:
  .set vector, 0
  .rept 32
  .balign 16
  .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
  .else
    pushl $0
  .endif
  pushl $vector
  .byte 0xE9
  .long handler32 - . - 4
  .set vector, vector + 1
  .endr
  .balign 16
handler32:
  movl $DATA, %eax
  movw %ax, %ds
  movw %ax, %es
  popl %ebx
  popl %ecx
  movl %ebx, %eax
  shll $16, %eax
  movw %cx, %ax
  orl $0xEE000000, %eax
  outl %eax, $0xF4
  movl 4(%esp), %edx
  andl $3, %edx
  shll $16, %edx
  movl (%esp), %eax
  subl TRIED, %eax
  movw %ax, %dx
  movl %edx, %eax
  outl %eax, $0xF4
  cmpl $14, %ebx
  jne 1f
  movl %cr2, %eax
  outl %eax, $0xF4
1:movl $DATA, %eax
  movw %ax, %fs
  movw %ax, %gs
  movw %ax, %ss
  movl $KERNEL_STACK, %esp
  jmp *RESUME
after_protected:
.endm
