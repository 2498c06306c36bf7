#define _GNU_SOURCE
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

// Closes a descriptor and leaves errno as it is.
static int give_up(int file) {
  int error = errno;
  close(file);
  errno = error;
  return -1;
}

int chost_open_tap(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  if (strlen(name) >= sizeof request.ifr_name) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(request.ifr_name, name);
  int file = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return -1;
  int header = 12;
  unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(file, TUNSETIFF, &request) < 0 || ioctl(file, TUNSETVNETHDRSZ, &header) < 0 ||
      ioctl(file, TUNSETOFFLOAD, offloads) < 0)
    return give_up(file);
  return file;
}

int chost_unix_socket(const char *path, int is_stream, int listens) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  socklen_t length = sizeof address;
  int kind = is_stream ? SOCK_STREAM : SOCK_SEQPACKET;
  int file = socket(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) return -1;
  int room = 4 << 20;
  setsockopt(file, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (!listens) {
    if (connect(file, (struct sockaddr *)&address, length) < 0) return give_up(file);
    return file;
  }
  if (bind(file, (struct sockaddr *)&address, length) < 0) {
    if (errno != EADDRINUSE) return give_up(file);
    // A socket without a listener was left behind.
    if (connect(file, (struct sockaddr *)&address, length) == 0 || errno != ECONNREFUSED) {
      errno = EADDRINUSE;
      return give_up(file);
    }
    if (unlink(path) < 0 || bind(file, (struct sockaddr *)&address, length) < 0) return give_up(file);
  }
  if (listen(file, 64) < 0) return give_up(file);
  return file;
}

int chost_accept(int socket) {
  int file = accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  int room = 4 << 20;
  if (file >= 0) setsockopt(file, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  return file;
}

long chost_send_message(int file, const void *header, unsigned long header_count, const void *body,
                        unsigned long body_count) {
  struct iovec parts[] = {{(void *)header, header_count}, {(void *)body, body_count}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  long sent = sendmsg(file, &message, MSG_NOSIGNAL);
  return sent < 0 && errno == ENOTSOCK ? writev(file, parts, 2) : sent;
}
