// Ten compute kernels, each about 0.1 to 0.3 s of native work. One static binary runs natively and in guests.
//
// usage: compute-kernels [NAME]...
//
// Prints for each kernel: its name, seconds, and a checksum that must be the same everywhere.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t xorshift(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

// Calls and returns.
__attribute__((noinline)) static unsigned fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
static uint64_t fib(void) { return fibonacci(37); }

// Strided byte stores.
static uint64_t sieve(void) {
  enum { size = 1 << 20 };
  static uint8_t composite[size];
  uint64_t primes = 0;
  for (int round = 0; round < 24; round++) {
    memset(composite, 0, size);
    for (unsigned i = 2; i < size; i++) {
      if (composite[i]) continue;
      primes++;
      for (unsigned j = 2 * i; j < size; j += i) composite[j] = 1;
    }
  }
  return primes;
}

// The C library's sort, with a comparison behind a pointer.
static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}
static uint64_t sort(void) {
  enum { count = 1 << 20 };
  static uint32_t values[count];
  uint64_t state = 1;
  for (int i = 0; i < count; i++) values[i] = (uint32_t)xorshift(&state);
  qsort(values, count, sizeof *values, compare);
  return values[1] ^ (uint64_t)values[count / 2] << 32;
}

// Open addressing, random accesses.
static uint64_t hash_table(void) {
  enum { size = 1 << 17 };
  static uint64_t keys[size], counts[size];
  uint64_t state = 88172645463325252u, sum = 0;
  for (int i = 0; i < 6000000; i++) {
    uint64_t key = xorshift(&state) % 60000 + 1;
    uint64_t slot = key * 0x9E3779B97F4A7C15u >> 47;
    while (keys[slot] && keys[slot] != key) slot = (slot + 1) % size;
    keys[slot] = key;
    sum += ++counts[slot];
  }
  return sum;
}

// Rotations and additions in registers.
static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }
static uint64_t sha256(void) {
  uint32_t k[64], h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, w[64];
  for (int i = 0; i < 64; i++) k[i] = 0x428A2F98u * (i + 1);
  for (int block = 0; block < 250000; block++) {
    for (int i = 0; i < 16; i++) w[i] = h[i % 8] + i * block;
    for (int i = 16; i < 64; i++) {
      uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    uint32_t s[8];
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
      uint32_t e = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
      uint32_t t1 = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
      uint32_t a = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
      uint32_t t2 = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      memmove(s + 1, s, 7 * sizeof *s);
      s[4] += t1;
      s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
  }
  return h[0] ^ (uint64_t)h[7] << 32;
}

// A bytecode loop: an indirect jump for each instruction.
static uint64_t bytecode(void) {
  enum { add, xor, load, store, decrement, loop, end };
  static const uint8_t program[] = {load, add, xor, add, store, load, xor, decrement, loop, end};
  static const void *const labels[] = {&&do_add, &&do_xor, &&do_load, &&do_store, &&do_decrement,
                                       &&do_loop, &&do_end};
  uint64_t a = 1, b = 3, memory[4] = {5, 7, 11, 13}, count = 5000000;
  const uint8_t *pc = program;
#define NEXT goto *labels[*pc++]
  NEXT;
do_add:
  a += b;
  NEXT;
do_xor:
  b ^= a >> 5;
  NEXT;
do_load:
  b += memory[a & 3];
  NEXT;
do_store:
  memory[b & 3] = a;
  NEXT;
do_decrement:
  count--;
  NEXT;
do_loop:
  if (count) pc = program;
  NEXT;
do_end:
  return a ^ b ^ memory[0];
}

// The C library's string functions on short strings.
static uint64_t strings(void) {
  static const char *const words[] = {"translate", "interpret", "page", "fault", "segment", "descriptor", "a"};
  char text[256], copy[256];
  uint64_t sum = 0, state = 42;
  for (int round = 0; round < 400000; round++) {
    text[0] = 0;
    for (int i = 0; i < 6; i++) {
      strcat(text, words[xorshift(&state) % 7]);
      strcat(text, " ");
    }
    strcpy(copy, text);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " "));) sum += strlen(word) * 31 + (unsigned char)*word;
    if (strstr(text, "fault page")) sum++;
  }
  return sum;
}

// LZ77 with a hash of three bytes.
static uint64_t lz(void) {
  enum { size = 1 << 20, window = 1 << 15 };
  static uint8_t data[size], packed[size * 2];
  static int head[1 << 14];
  uint64_t state = 7, sum = 0;
  for (int i = 0; i < size; i++)
    data[i] = i > 64 && (xorshift(&state) & 7) ? data[i - 1 - state % 60] : (uint8_t)(state >> 20);
  for (int round = 0; round < 6; round++) {
    memset(head, 0xFF, sizeof head);
    int out = 0;
    for (int i = 0; i + 3 < size;) {
      unsigned key = ((data[i] << 16 | data[i + 1] << 8 | data[i + 2]) * 2654435761u) >> 18;
      int at = head[key], length = 0;
      head[key] = i;
      if (at >= 0 && i - at < window)
        while (length < 255 && i + length < size && data[at + length] == data[i + length]) length++;
      if (length > 3) {
        packed[out++] = 0xFF;
        packed[out++] = (uint8_t)length;
        packed[out++] = (uint8_t)(i - at);
        packed[out++] = (uint8_t)((i - at) >> 8);
        i += length;
      } else {
        packed[out++] = data[i++];
      }
    }
    sum += out + packed[out / 2];
  }
  return sum;
}

// Scalar double arithmetic, with division and square root.
static uint64_t nbody(void) {
  double position[5][3] = {{0, 0, 0}, {4.84, -1.16, -.10}, {8.34, 4.12, -.4}, {12.89, -15.11, -.22}, {15.37, -25.9, .17}};
  double velocity[5][3] = {{0, 0, 0}, {.6, 2.8, -.02}, {-1, 1.8, .008}, {1.08, .86, -.01}, {.97, .59, -.03}};
  static const double mass[5] = {39.47, .0376, .0112, .0017, .002};
  for (int step = 0; step < 1500000; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double d[3], square = 0;
        for (int k = 0; k < 3; k++) {
          d[k] = position[i][k] - position[j][k];
          square += d[k] * d[k];
        }
        double magnitude = 0.001 / (square * sqrt(square));
        for (int k = 0; k < 3; k++) {
          velocity[i][k] -= d[k] * mass[j] * magnitude;
          velocity[j][k] += d[k] * mass[i] * magnitude;
        }
      }
    for (int i = 0; i < 5; i++)
      for (int k = 0; k < 3; k++) position[i][k] += 0.001 * velocity[i][k];
  }
  uint64_t bits;
  memcpy(&bits, &position[0][0], sizeof bits);
  return bits;
}

// Packed single precision.
__attribute__((optimize("O3"))) static uint64_t matmul(void) {
  enum { size = 256 };
  static float a[size][size], b[size][size], c[size][size];
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) {
      a[i][j] = (float)(i - j) / size;
      b[i][j] = (float)(i + j) / size;
    }
  for (int round = 0; round < 100; round++)
    for (int i = 0; i < size; i++)
      for (int k = 0; k < size; k++) {
        float factor = a[i][k];
        for (int j = 0; j < size; j++) c[i][j] += factor * b[k][j];
      }
  uint32_t bits;
  memcpy(&bits, &c[17][29], sizeof bits);
  return bits;
}

static const struct {
  const char *name;
  uint64_t (*run)(void);
} kernels[] = {
    {"fib", fib},           {"sieve", sieve},     {"qsort", sort}, {"hash", hash_table}, {"sha256", sha256},
    {"bytecode", bytecode}, {"strings", strings}, {"lz", lz},      {"nbody", nbody},     {"matmul", matmul},
};

int main(int count, char **names) {
  for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    int is_wanted = count == 1;
    for (int n = 1; n < count; n++) is_wanted |= !strcmp(names[n], kernels[i].name);
    if (!is_wanted) continue;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t checksum = kernels[i].run();
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("bench: %s %.4f %016llx\n", kernels[i].name,
           end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) * 1e-9, (unsigned long long)checksum);
    fflush(stdout);
  }
}
