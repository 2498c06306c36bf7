#include "guest.h"

// 32-bit paging with 4 MiB pages, then PAE (SDM 3A 4.3, 4.4).
#define DIRECTORY 0x10000
#define TABLE 0x11000
#define POINTERS 0x12000
#define PAE_DIRECTORY 0x13000
#define PAE_TABLE 0x14000
GUEST paging_32
  ENTER_PROTECTED
  HANDLERS32
  // The first 4 MiB in pages of 4 KiB, the second as one of 4 MiB, read-only.
  movl $TABLE, %edi
  movl $7, %eax
  movl $1024, %ecx
0:stosl
  addl $0x1000, %eax
  loop 0b
  movl $TABLE | 7, DIRECTORY
  movl $0x400081, DIRECTORY + 4
  movl $0x12345678, 0x500000
  movl %cr4, %eax
  orl $0x10, %eax
  movl %eax, %cr4
  movl $DIRECTORY, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80010000, %eax
  movl %eax, %cr0
  jmp 1f
1:movl 0x500000, %eax
  REPORT_EAX
  TRY 1f
  movl %eax, 0x500004
1:TRY 1f
  movl 0x800000, %eax
1:// A and D in the 4 MiB entry after a write.
  movl $0x400083, DIRECTORY + 4
  movl %cr3, %eax
  movl %eax, %cr3
  movl %eax, 0x500000
  movl DIRECTORY + 4, %eax
  REPORT_EAX
  // A page mapped elsewhere, seen through both addresses.
  movl $0x30007, TABLE + 0x31 * 4
  invlpg 0x31000
  movl $0xABCD, 0x31000
  movl 0x30000, %eax
  REPORT_EAX
  // User mode: the directory's U/S counts too.
  andl $~4, TABLE + 0x32 * 4
  invlpg 0x32000
  USER_TRY 1f
  movb 0x32000, %al
1:USER_TRY 1f
  movb 0x500000, %al
1:// A fetch reports no I/D bit without NXE.
  movl $0, TABLE + 0x33 * 4
  invlpg 0x33000
  movl $0x33000, %eax
  TRY 1f
  jmp *%eax
1:// An access over two pages: the write touches neither if the second faults.
  movl $0x34007, TABLE + 0x34 * 4
  movl $0, TABLE + 0x35 * 4
  invlpg 0x35000
  movl $0, 0x34FFC
  movl $-1, %ecx
  TRY 1f
  movl %ecx, 0x34FFE
1:movl 0x34FFC, %eax
  REPORT_EAX
  // PAE.
  movl %cr0, %eax
  andl $0x7FFFFFFF, %eax
  movl %eax, %cr0
  movl $POINTERS, %edi
  xorl %eax, %eax
  movl $0x1800, %ecx
  rep stosl
  movl $PAE_DIRECTORY | 1, POINTERS
  movl $PAE_TABLE | 7, PAE_DIRECTORY
  movl $0x600083, PAE_DIRECTORY + 8
  movl $PAE_TABLE, %edi
  movl $7, %eax
  movl $512, %ecx
0:movl %eax, (%edi)
  addl $0x1000, %eax
  addl $8, %edi
  loop 0b
  movl $0x89ABCDEF, 0x600100
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  movl $POINTERS, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  jmp 1f
1:movl 0x200100, %eax
  REPORT_EAX
  TRY 1f
  movl 0x400000, %eax
1:// The pointers are loaded with CR3: a change in memory shows only then.
  movl $PAE_DIRECTORY | 1, POINTERS + 8
  TRY 1f
  movl 0x40000000, %eax
1:movl $POINTERS, %eax
  movl %eax, %cr3
  movl 0x40200100, %eax
  REPORT_EAX
  // Reserved bits in a pointer: #GP when CR3 is loaded.
  movl $PAE_DIRECTORY | 3, POINTERS + 8
  movl $POINTERS, %eax
  TRY 1f
  movl %eax, %cr3
1:movl $PAE_DIRECTORY | 1, POINTERS + 8
  // A reserved bit in a PTE (bit 62, without a meaning here but NX in 63).
  movl $0x40000000, PAE_TABLE + 0x36 * 8 + 4
  movl $POINTERS, %eax
  movl %eax, %cr3
  TRY 1f
  movb 0x36000, %al
1:FINISH
  COMMON_GDT
GUEST_END paging_32
