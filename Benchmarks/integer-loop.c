// A loop of integer instructions, counted and timed. Static and without a C library, so that it is the
// same program on the host and in every guest.

typedef unsigned long u64;

static long call3(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

static u64 nanoseconds(void) {
  long time[2];
  call3(228 /* clock_gettime */, 1 /* CLOCK_MONOTONIC */, (long)time, 0);
  return (u64)time[0] * 1000000000 + (u64)time[1];
}

static char *decimal(u64 value, char *end) {
  do *--end = (char)('0' + value % 10);
  while (value /= 10);
  return end;
}

// Twelve instructions a round: arithmetic, shifts, a load, a store, a branch that depends on the data
// and the loop's own.
static u64 rounds(u64 count, u64 *memory) {
  u64 a = 1, b = 0;
  __asm__ volatile("1: imul $1664525, %0, %0\n"
                   "add $1013904223, %0\n"
                   "mov %0, %1\n"
                   "shr $13, %1\n"
                   "xor %1, %0\n"
                   "add (%3), %1\n"
                   "mov %1, (%3)\n"
                   "test $1, %0\n"
                   "jz 2f\n"
                   "lea 3(%1), %1\n"
                   "2: dec %2\n"
                   "jnz 1b\n"
                   : "+r"(a), "+r"(b), "+r"(count)
                   : "r"(memory)
                   : "memory", "cc");
  return a + b;
}

void run(void) {
  static u64 memory[8];
  u64 count = 1 << 14, time = 0;
  // Until one run takes a second: as long on fast and slow machines.
  while (time < 1000000000) {
    count *= 2;
    const u64 start = nanoseconds();
    rounds(count, memory);
    time = nanoseconds() - start;
  }
  // On average one round in two skips the LEA.
  const u64 kiloinstructions = count * 23 / 2 / 1000;
  char text[64] = "martlet: kiloinstructions per second ";
  char digits[24];
  char *first = decimal(kiloinstructions * 1000000000 / time, digits + 24);
  char *out = text + 37;
  while (first < digits + 24) *out++ = *first++;
  *out++ = '\n';
  call3(1 /* write */, 1, (long)text, out - text);
  call3(231 /* exit_group */, 0, 0, 0);
}

__asm__(".globl _start\n_start: and $-16, %rsp\ncall run\n");
