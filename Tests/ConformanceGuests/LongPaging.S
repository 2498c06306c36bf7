#include "guest64.h"

// Page faults of 4-level paging and their error codes, accessed and dirty bits, WP, NX, SMEP and SMAP
// (SDM 3A 4.5…4.7). Each #PF reports its code, where it was, and CR2.
.macro SET_PT page value
  movq $\value, PT + (\page >> 12) * 8
  invlpg \page
.endm

GUEST long_paging
  ENTER_LONG
  HANDLERS64
  // Not present: read, write.
  SET_PT 0x30000 0
  TRY64 1f
  movb 0x30123, %al
1:TRY64 1f
  movb %al, 0x30456
1:// An access over a page's end: CR2 is the first byte of the second page.
  TRY64 1f
  movl 0x2FFFE, %eax
1:// Read-only with WP, and without.
  SET_PT 0x30000 0x30001
  TRY64 1f
  movb %al, 0x30000
1:movq %cr0, %rax
  andl $~0x10000, %eax
  movq %rax, %cr0
  movb $0x5A, 0x30000
  orl $0x10000, %eax
  movq %rax, %cr0
  // The accessed and dirty bits are set now, as in the directories only accessed.
  movl PT + 0x30 * 8, %eax
  andl $0xFFF, %eax
  REPORT_EAX
  movl PD, %eax
  andl $0xFFF, %eax
  REPORT_EAX
  // Accessed only, by a read.
  SET_PT 0x31000 0x31003
  movb 0x31000, %al
  movl PT + 0x31 * 8, %eax
  andl $0xFFF, %eax
  REPORT_EAX
  movb %al, 0x31000
  movl PT + 0x31 * 8, %eax
  andl $0xFFF, %eax
  REPORT_EAX
  // NX: an instruction fetch, code 0x11.
  movabsq $0x8000000000032003, %rax
  movq %rax, PT + 0x32 * 8
  invlpg 0x32000
  movb $0xC3, 0x32000
  movl $0x32000, %eax
  TRY64 1f
  jmp *%rax
1:// A fetch from a page that is not there: no bit but I/D, which NXE makes visible.
  SET_PT 0x32000 0
  movl $0x32000, %eax
  TRY64 1f
  jmp *%rax
1:// A reserved bit: bit 51 of a PTE is beyond the 40 bits of this processor.
  movabsq $0x0008000000033003, %rax
  movq %rax, PT + 0x33 * 8
  invlpg 0x33000
  TRY64 1f
  movb 0x33000, %al
1:// PS in a 2 MiB page with address bits below 21 set is reserved too.
  movl $0x602083, PD + 3 * 8
  invlpg 0x600000
  TRY64 1f
  movb 0x600000, %al
1:// From user mode: supervisor page, read and write; present is set.
  SET_PT 0x34000 0x34003
  USER_TRY64 1f
  movb 0x34000, %al
1:USER_TRY64 1f
  movb %al, 0x34008
1:// Read-only for user mode.
  SET_PT 0x34000 0x34005
  USER_TRY64 1f
  movb 0x34000, %al
  movb %al, 0x34010
1:// User mode: a fetch from a supervisor page.
  SET_PT 0x34000 0x34003
  movl $0x34000, %eax
  USER_TRY64 1f
  jmp *%rax
1:// An old translation may stay until INVLPG, and must go with it.
  SET_PT 0x35000 0x36003
  movl $0x11223344, 0x35000
  SET_PT 0x35000 0x37003
  movl $0x55667788, 0x35000
  movl 0x36000, %eax
  REPORT_EAX
  movl 0x37000, %eax
  REPORT_EAX
  // ... and with a load of CR3.
  movq $0x36003, PT + 0x35 * 8
  movq %cr3, %rax
  movq %rax, %cr3
  movl 0x35000, %eax
  REPORT_EAX
  // SMEP: no fetch from user pages at CPL 0.
  movb $0xC3, 0x38000
  movq %cr4, %rax
  orl $0x100000, %eax
  // This code's own pages become the supervisor's first, as does its stack.
  movq $0x8003, PT + 8 * 8
  movq $0x9003, PT + 9 * 8
  movq $0xA003, PT + 0xA * 8
  invlpg 0x8000
  invlpg 0x9000
  invlpg 0xA000
  movq %rax, %cr4
  movl $0x38000, %eax
  TRY64 1f
  jmp *%rax
1:// SMAP: no data access to user pages at CPL 0, but with AC set.
  movq $0x3, PT
  movq $0x1F003, PT + 0x1F * 8
  movq $0xF003, PT + 0xF * 8
  movq $0xC003, PT + 0xC * 8
  movq %cr4, %rax
  orl $0x200000, %eax
  movq %rax, %cr4
  movq %cr3, %rax
  movq %rax, %cr3
  TRY64 1f
  movb 0x38000, %al
1:stac
  movb 0x38000, %al
  movzbl %al, %eax
  REPORT_EAX
  clac
  TRY64 1f
  movb %al, 0x38000
1:FINISH
  COMMON_GDT
GUEST_END long_paging
