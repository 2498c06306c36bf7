// usage: timed COPIES NAME COMMAND [ARGUMENT]...
//
// Runs copies of a command at once and prints `bench: NAME SECONDS CHECKSUM`: seconds from the first's start
// to the last's end, and a checksum of what they wrote, which all of them must agree on.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { most_copies = 64 };

static void require(int is_fine, const char *what) {
  if (is_fine) return;
  perror(what);
  exit(1);
}

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/// Runs the command to its end and returns the FNV-1a checksum of its output.
static uint64_t run(char **command) {
  static uint8_t bytes[1 << 16];
  int ends[2];
  require(!pipe(ends), "pipe");
  pid_t child = fork();
  require(child >= 0, "fork");
  if (!child) {
    dup2(ends[1], 1);
    close(ends[0]), close(ends[1]);
    execvp(*command, command);
    perror(*command);
    _exit(127);
  }
  close(ends[1]);
  uint64_t checksum = 0xcbf29ce484222325;
  for (ssize_t count; (count = read(ends[0], bytes, sizeof bytes)) > 0;)
    for (ssize_t i = 0; i < count; i++) checksum = (checksum ^ bytes[i]) * 0x100000001b3;
  close(ends[0]);
  int status;
  require(waitpid(child, &status, 0) == child, "wait");
  if (status) {
    fprintf(stderr, "%s: status %#x\n", *command, (unsigned)status);
    exit(1);
  }
  return checksum;
}

int main(int count, char **arguments) {
  int copies = count > 3 ? atoi(arguments[1]) : 0;
  if (copies < 1 || copies > most_copies) {
    fprintf(stderr, "usage: timed COPIES NAME COMMAND [ARGUMENT]...\n");
    return 64;
  }
  int results[2];
  require(!pipe(results), "pipe");
  uint64_t start = nanoseconds();
  for (int i = 0; i < copies; i++) {
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child) continue;
    uint64_t checksum = run(arguments + 3);
    require(write(results[1], &checksum, sizeof checksum) == sizeof checksum, "write");
    return 0;
  }
  close(results[1]);
  uint64_t first = 0, checksum;
  for (int i = 0; i < copies; i++) {
    if (read(results[0], &checksum, sizeof checksum) != sizeof checksum) return 1;
    if (i && checksum != first) {
      fprintf(stderr, "%s: the copies disagree\n", arguments[2]);
      return 1;
    }
    first = checksum;
  }
  double seconds = (double)(nanoseconds() - start) / 1e9;
  printf("bench: %s %.4f %016llx\n", arguments[2], seconds, (unsigned long long)first);
  return 0;
}
