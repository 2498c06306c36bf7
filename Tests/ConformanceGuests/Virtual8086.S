#include "guest.h"

// Virtual-8086 mode (SDM 3B 20): what it may do, and the frame of a fault from it.
GUEST virtual_8086
  ENTER_PROTECTED
  HANDLERS32
  // A handler for #GP that looks at the frame: the segments follow SS.
  movw $AT(from_v86), IDT + 13 * 8
  pushl $0x0666 // GS
  pushl $0x0555 // FS
  pushl $0x0333 // DS
  pushl $0x0222 // ES
  pushl $0x0400 // SS
  pushl $0x1000 // ESP
  pushl $0x20002 // EFLAGS: VM, IOPL 0
  pushl $0x0800 // CS: base 0x8000
  pushl $AT(in_v86) - 0x8000
  iretl
from_v86:
  popl %eax
  REPORT_EAX
  movl (%esp), %eax
  subl $AT(in_v86) - 0x8000, %eax
  REPORT_EAX
  movl 4(%esp), %eax
  REPORT_EAX
  movl 8(%esp), %eax
  andl $0x23200, %eax
  REPORT_EAX
  movl 12(%esp), %eax
  REPORT_EAX
  movl 16(%esp), %eax
  REPORT_EAX
  movl 20(%esp), %eax
  REPORT_EAX
  movl 24(%esp), %eax
  REPORT_EAX
  movl 28(%esp), %eax
  REPORT_EAX
  movl 32(%esp), %eax
  REPORT_EAX
  // The segment registers are null here.
  movl %es, %eax
  REPORT_EAX
  movl %ds, %eax
  REPORT_EAX
  movl $DATA, %eax
  movw %ax, %ds
  movl 0x33300, %eax
  REPORT_EAX
  FINISH
  .code16
in_v86:
  // Real-mode addressing, IOPL-sensitive instructions apart.
  movw $0x3330, %ax
  movw %ax, %ds
  movw $0x4321, 0
  movw $0x0333, %ax
  movw %ax, %ds
  pushw %ax
  cli
  COMMON_GDT
GUEST_END virtual_8086
