// The guest's side of the vsock test: talks to a host that listens, to one that does not, and listens itself.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int make_socket(unsigned cid, unsigned port, struct sockaddr_vm *address) {
  memset(address, 0, sizeof *address);
  address->svm_family = AF_VSOCK;
  address->svm_cid = cid;
  address->svm_port = port;
  return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static unsigned long checksum, total;

static void drain(int file) {
  static unsigned char bytes[65536];
  long count;
  checksum = total = 0;
  while ((count = read(file, bytes, sizeof bytes)) > 0)
    for (long i = 0; i < count; i++, total++) checksum = checksum * 31 + bytes[i];
  if (count < 0) printf("martlet: read: %s\n", strerror(errno));
}

static void fill(int file, unsigned long count) {
  static unsigned char bytes[65536];
  unsigned long sent = 0;
  while (sent < count) {
    unsigned long piece = count - sent < sizeof bytes ? count - sent : sizeof bytes;
    for (unsigned long i = 0; i < piece; i++) bytes[i] = (sent + i) >> 7;
    long written = write(file, bytes, piece);
    if (written <= 0) {
      printf("martlet: write: %s\n", strerror(errno));
      return;
    }
    sent += written;
  }
}

int main(void) {
  struct sockaddr_vm address;
  setvbuf(stdout, NULL, _IONBF, 0);

  int file = make_socket(VMADDR_CID_HOST, 81, &address);
  if (connect(file, (struct sockaddr *)&address, sizeof address) < 0)
    printf("martlet: port 81: %s\n", strerror(errno));
  close(file);

  file = make_socket(VMADDR_CID_HOST, 80, &address);
  if (connect(file, (struct sockaddr *)&address, sizeof address) < 0)
    printf("martlet: port 80: %s\n", strerror(errno));
  fill(file, 5000000);
  shutdown(file, SHUT_WR);
  drain(file);
  printf("martlet: from the host %lu bytes, sum %lx\n", total, checksum);
  close(file);

  int listener = make_socket(VMADDR_CID_ANY, 52, &address);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8) < 0)
    printf("martlet: listen: %s\n", strerror(errno));
  printf("martlet: listening\n");
  struct sockaddr_vm peer;
  socklen_t length = sizeof peer;
  file = accept(listener, (struct sockaddr *)&peer, &length);
  printf("martlet: accepted from %u:%u\n", peer.svm_cid, peer.svm_port);
  drain(file);
  printf("martlet: from the client %lu bytes, sum %lx\n", total, checksum);
  fill(file, 1000000);
  close(file);
  close(listener);
  printf("martlet: done\n");
  return 0;
}
