#include "guest64.h"

// Two process contexts that map one page to different frames, and are switched between with the wish to keep what is
// held of them: each sees its own (SDM 3A 4.10.1).
#define OTHER 0x80000
#define DESCRIPTOR 0x30000

.macro INVALIDATE type
  movl $\type, %eax
  invpcid DESCRIPTOR, %rax
.endm

.macro REPORT_WORD
  movl 0x35000, %eax
  REPORT_EAX
.endm

// The other address space's table at an offset, a copy of the first one's.
.macro COPY table
  movl $\table, %esi
  movl $\table - PML4 + OTHER, %edi
  movl $512, %ecx
  rep movsq
.endm

.macro KEEP root
  movabsq $0x8000000000000000 | \root, %rax
  movq %rax, %cr3
.endm

GUEST contexts
  ENTER_LONG
  HANDLERS64
  movl $0x1111, 0x36000
  movl $0x2222, 0x37000
  COPY PML4
  COPY PDPT
  COPY PD
  COPY PT
  movq $OTHER + 0x1007, OTHER
  movq $OTHER + 0x2007, OTHER + 0x1000
  movq $OTHER + 0x3007, OTHER + 0x2000
  movq $0x36007, PT + 0x35 * 8
  movq $0x37007, OTHER + 0x3000 + 0x35 * 8
  movl $PML4, %eax
  movq %rax, %cr3
  movq %cr4, %rax
  orl $0x20000, %eax
  movq %rax, %cr4
  movl $PML4 | 1, %eax
  movq %rax, %cr3
  REPORT_WORD
  movl $OTHER | 2, %eax
  movq %rax, %cr3
  REPORT_WORD
  movl $2, %ebx
0:KEEP PML4 | 1
  REPORT_WORD
  KEEP OTHER | 2
  REPORT_WORD
  decl %ebx
  jnz 0b
  // INVPCID of the one that is not current, then a load of CR3 for it.
  movq $0x37007, PT + 0x35 * 8
  movq $1, DESCRIPTOR
  INVALIDATE 1
  REPORT_WORD
  KEEP PML4 | 1
  REPORT_WORD
  movq $0x36007, PT + 0x35 * 8
  KEEP OTHER | 2
  movl $PML4 | 1, %eax
  movq %rax, %cr3
  REPORT_WORD
  // INVLPG here, and of all contexts' pages by INVPCID.
  movq $0x36007, OTHER + 0x3000 + 0x35 * 8
  KEEP OTHER | 2
  invlpg 0x35000
  REPORT_WORD
  movq $0x37007, PT + 0x35 * 8
  INVALIDATE 3
  KEEP PML4 | 1
  REPORT_WORD
  FINISH
  COMMON_GDT
GUEST_END contexts
