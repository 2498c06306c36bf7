#include "kvm.h"

#include <sys/ioctl.h>

int chost_ioctl_value(int file, unsigned long request, unsigned long value) {
  return ioctl(file, request, value);
}

int chost_ioctl_pointer(int file, unsigned long request, void *argument) {
  return ioctl(file, request, argument);
}
