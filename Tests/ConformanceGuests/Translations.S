#include "guest64.h"

// What ends a translation: INVLPG anywhere in a large page, INVPCID, loads of CR3 with and without
// the wish to keep them (SDM 3A 4.10).
#define DESCRIPTOR 0x30000

.macro INVALIDATE type
  movl $\type, %eax
  invpcid DESCRIPTOR, %rax
.endm

// Gives 0x35000 another frame; the old translation may stay until what follows.
.macro MAP frame
  movb 0x35000, %al
  movq $\frame + 7, PT + 0x35 * 8
.endm

.macro REPORT_WORD
  movl 0x35000, %eax
  REPORT_EAX
.endm

GUEST translations
  ENTER_LONG
  HANDLERS64
  movl $0x1111, 0x36000
  movl $0x2222, 0x37000
  movl $0x3333, 0x412340
  movl $0x4444, 0x612340
  // A 2 MiB page, and INVLPG of another address in it.
  movl 0x612340, %eax
  REPORT_EAX
  movq $0x4000E7, PD + 3 * 8
  invlpg 0x7FF000
  movl 0x612340, %eax
  REPORT_EAX
  movq $0x6000E7, PD + 3 * 8
  invlpg 0x600000
  movl 0x612340, %eax
  REPORT_EAX
  // PCIDE with a PCID in CR3 is #GP.
  movl $PML4 | 8, %eax
  movq %rax, %cr3
  movq %cr4, %rax
  orl $0x20000, %eax
  TRY64 1f
  movq %rax, %cr4
1:movl $PML4, %eax
  movq %rax, %cr3
  movq %cr4, %rax
  orl $0x20000, %eax
  movq %rax, %cr4
  // PCID 1.
  movl $PML4 | 1, %eax
  movq %rax, %cr3
  MAP 0x36000
  movq $1, DESCRIPTOR
  movq $0x35000, DESCRIPTOR + 8
  INVALIDATE 0
  REPORT_WORD
  MAP 0x37000
  INVALIDATE 1
  REPORT_WORD
  MAP 0x36000
  movq $0, DESCRIPTOR
  INVALIDATE 2
  REPORT_WORD
  MAP 0x37000
  INVALIDATE 3
  REPORT_WORD
  // Bit 63 of what is loaded keeps translations, and is not stored.
  movabsq $0x8000000000010002, %rax
  movq %rax, %cr3
  movq %cr3, %rax
  REPORT_EAX
  shrq $32, %rax
  REPORT_EAX
  // A load without it ends those of the PCID.
  MAP 0x36000
  movl $PML4 | 2, %eax
  movq %rax, %cr3
  REPORT_WORD
  // #GP: a type that is none, reserved bits, an address that is not canonical; and user mode.
  movl $4, %eax
  TRY64 1f
  invpcid DESCRIPTOR, %rax
1:movq $0x1001, DESCRIPTOR
  movl $1, %eax
  TRY64 1f
  invpcid DESCRIPTOR, %rax
1:movq $1, DESCRIPTOR
  movabsq $0x800000000000, %rax
  movq %rax, DESCRIPTOR + 8
  xorl %eax, %eax
  TRY64 1f
  invpcid DESCRIPTOR, %rax
1:USER_TRY64 1f
  invpcid DESCRIPTOR, %rax
1:// Without PCIDE the PCID must be 0.
  movl $PML4, %eax
  movq %rax, %cr3
  movq %cr4, %rax
  andl $~0x20000, %eax
  movq %rax, %cr4
  movq $0, DESCRIPTOR + 8
  movl $1, %eax
  TRY64 1f
  invpcid DESCRIPTOR, %rax
1:FINISH
  COMMON_GDT
GUEST_END translations
