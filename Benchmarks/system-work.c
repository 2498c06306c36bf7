// What guests ask of their kernel: system calls, context switches, page faults, processes, copies. One static binary
// runs natively and in guests.
//
// Prints for each kind: its name, seconds for a fixed amount, and 0.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static void require(int is_fine, const char *what) {
  if (is_fine) return;
  perror(what);
  exit(1);
}

static void system_calls(void) {
  for (int i = 0; i < 500000; i++) syscall(SYS_getppid);
}

static void pipe_switches(void) {
  enum { rounds = 20000 };
  int there[2], back[2];
  require(!pipe(there) && !pipe(back), "pipe");
  char byte = 0;
  pid_t child = fork();
  require(child >= 0, "fork");
  if (!child) {
    for (int i = 0; i < rounds; i++)
      require(read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1, "pipe");
    _exit(0);
  }
  for (int i = 0; i < rounds; i++) require(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
  waitpid(child, NULL, 0);
  for (int i = 0; i < 2; i++) close(there[i]), close(back[i]);
}

static void page_faults(void) {
  enum { size = 4 << 20 };
  for (int round = 0; round < 40; round++) {
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, "mmap");
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (int at = 0; at < size; at += 4096) memory[at] = 1;
    munmap(memory, size);
  }
}

static void processes(void) {
  for (int i = 0; i < 300; i++) {
    pid_t child = fork();
    require(child >= 0, "fork");
    if (!child) {
      execl(self, self, "nothing", NULL);
      _exit(1);
    }
    int status;
    require(waitpid(child, &status, 0) == child && status == 0, "exec");
  }
}

static void copies(void) {
  enum { size = 16 << 20 };
  char *from = malloc(size), *to = malloc(size);
  memset(from, 1, size);
  for (int round = 0; round < 30; round++) {
    memcpy(to, from, size);
    __asm__ volatile("" ::"r"(to) : "memory");
  }
  free(from);
  free(to);
}

static const struct {
  const char *name;
  void (*run)(void);
} kinds[] = {
    {"syscall", system_calls}, {"pipe", pipe_switches}, {"fault", page_faults},
    {"forkexec", processes},   {"memcpy", copies},
};

int main(int count, char **arguments) {
  if (count == 2 && !strcmp(arguments[1], "nothing")) return 0;
  self = "/proc/self/exe";
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    kinds[i].run();
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("bench: %s %.4f 0\n", kinds[i].name,
           end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) * 1e-9);
    fflush(stdout);
  }
}
