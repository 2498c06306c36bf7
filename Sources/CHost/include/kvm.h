// The kernel's interface to KVM, and its ioctls with an argument that is a number or a structure.
#pragma once

#include <linux/kvm.h>

/// ioctl(2) with a number. Returns the result, or -1 and errno.
int chost_ioctl_value(int file, unsigned long request, unsigned long value);

/// ioctl(2) with a structure. Returns the result, or -1 and errno.
int chost_ioctl_pointer(int file, unsigned long request, void *argument);
