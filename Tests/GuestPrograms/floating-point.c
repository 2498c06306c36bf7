// Floating-point and vector arithmetic whose results must be the host's, to the last bit. Prints a line for
// each topic; the guest-boot tests run it natively and in the guest, and compare.

#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <emmintrin.h>

static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// Any bit pattern: NaNs, infinities and denormals are all drawn.
static double any_double(void) {
  uint64_t bits = next();
  double value;
  memcpy(&value, &bits, 8);
  return value;
}

static double ordinary(void) { return (double)(int64_t)next() / 4611686018427387904.0; }

static uint64_t sum;

static void mix(const void *data, size_t count) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < count; i++) sum = (sum ^ bytes[i]) * 1099511628211u;
}

static void mix_double(double value) {
  // The sign and payload of a NaN are compared too.
  mix(&value, 8);
}

static void report(const char *topic) {
  printf("floating-point: %s %016llx\n", topic, (unsigned long long)sum);
  sum = 1469598103934665603u;
}

static void scalar(void) {
  for (int i = 0; i < 20000; i++) {
    volatile double a = any_double(), b = any_double();
    mix_double(a + b);
    mix_double(a - b);
    mix_double(a * b);
    mix_double(a / b);
    mix_double(sqrt(a));
    volatile float c = (float)a, d = (float)b;
    float results[4] = {c + d, c * d, c / d, c - d};
    mix(results, sizeof results);
    int order = (a < b) | (a == b) << 1 | (a > b) << 2 | (a != a) << 3;
    mix(&order, sizeof order);
  }
  report("scalar");
}

static void rounding(void) {
  static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  for (int i = 0; i < 20000; i++) {
    fesetround(modes[i & 3]);
    volatile double a = ordinary() * 1e6, b = ordinary();
    mix_double(a / b);
    mix_double(a * b);
    long integer = lrint(a);
    mix(&integer, sizeof integer);
    int flags = fetestexcept(FE_ALL_EXCEPT);
    mix(&flags, sizeof flags);
    feclearexcept(FE_ALL_EXCEPT);
  }
  fesetround(FE_TONEAREST);
  report("rounding");
}

static void x87(void) {
  for (int i = 0; i < 5000; i++) {
    volatile long double a = ordinary() * 100, b = ordinary() + 2;
    long double results[] = {a + b, a * b, a / b, sinl(a), cosl(a), atan2l(a, b), log2l(fabsl(b)),
                             sqrtl(fabsl(a)), fmodl(a, b), exp2l(b)};
    for (size_t j = 0; j < sizeof results / sizeof *results; j++) mix(&results[j], 10);
  }
  report("x87");
}

static void vectors(void) {
  __m128i whole = _mm_setzero_si128();
  __m128d packed = _mm_set1_pd(1.0);
  for (int i = 0; i < 20000; i++) {
    __m128i a = _mm_set_epi64x((long long)next(), (long long)next());
    __m128i b = _mm_set_epi64x((long long)next(), (long long)next());
    whole = _mm_xor_si128(whole, _mm_add_epi8(a, b));
    whole = _mm_xor_si128(whole, _mm_mullo_epi16(a, b));
    whole = _mm_xor_si128(whole, _mm_madd_epi16(a, b));
    whole = _mm_xor_si128(whole, _mm_sad_epu8(a, b));
    whole = _mm_xor_si128(whole, _mm_packs_epi32(a, b));
    whole = _mm_xor_si128(whole, _mm_unpackhi_epi16(a, b));
    whole = _mm_xor_si128(whole, _mm_cmpgt_epi32(a, b));
    whole = _mm_xor_si128(whole, _mm_shuffle_epi32(_mm_srl_epi64(a, _mm_cvtsi32_si128(i & 63)), 0x4E));
    int mask = _mm_movemask_epi8(a);
    mix(&mask, sizeof mask);
    packed = _mm_add_pd(_mm_mul_pd(packed, _mm_set_pd(ordinary(), ordinary())), _mm_set1_pd(0.5));
    packed = _mm_sqrt_pd(_mm_and_pd(packed, _mm_castsi128_pd(_mm_set1_epi64x(INT64_MAX))));
  }
  mix(&whole, sizeof whole);
  mix(&packed, sizeof packed);
  report("vectors");
}

static void library(void) {
  for (int i = 0; i < 5000; i++) {
    double a = ordinary() * 50;
    double results[] = {sin(a), exp(a), pow(fabs(a), 1.7), log(fabs(a) + 1), tanh(a), cbrt(a)};
    mix(results, sizeof results);
    char text[64];
    int length = snprintf(text, sizeof text, "%.17g %a", a * 1e300, a);
    mix(text, (size_t)length);
  }
  report("library");
}

int main(void) {
  sum = 1469598103934665603u;
  scalar();
  rounding();
  x87();
  vectors();
  library();
  return 0;
}
