// Floating-point and vector arithmetic whose results must be the host's, to the last bit. Prints a line for
// each topic; the guest-boot tests run it natively and in the guest, and compare.

#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <immintrin.h>

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

#define AVX2 __attribute__((target("avx,avx2,fma,f16c")))

AVX2 static __m256i any256(void) {
  return _mm256_set_epi64x((long long)next(), (long long)next(), (long long)next(),
                           (long long)next());
}

AVX2 static void avx(void) {
  for (int i = 0; i < 20000; i++) {
    __m256 a = _mm256_castsi256_ps(any256()), b = _mm256_castsi256_ps(any256());
    __m256d c = _mm256_castsi256_pd(any256()), d = _mm256_castsi256_pd(any256());
    __m256 results[] = {_mm256_add_ps(a, b), _mm256_div_ps(a, b), _mm256_sqrt_ps(a),
                        _mm256_blendv_ps(a, b, a), _mm256_permute2f128_ps(a, b, 0x31),
                        _mm256_cmp_ps(a, b, _CMP_NGE_UQ), _mm256_round_ps(a, _MM_FROUND_FLOOR)};
    mix(results, sizeof results);
    __m256d doubles[] = {_mm256_mul_pd(c, d), _mm256_hadd_pd(c, d), _mm256_max_pd(c, d)};
    mix(doubles, sizeof doubles);
  }
  report("avx");
}

AVX2 static void avx2(void) {
  __m256i whole = _mm256_setzero_si256();
  for (int i = 0; i < 20000; i++) {
    __m256i a = any256(), b = any256();
    whole = _mm256_xor_si256(whole, _mm256_add_epi32(a, b));
    whole = _mm256_xor_si256(whole, _mm256_mullo_epi16(a, b));
    whole = _mm256_xor_si256(whole, _mm256_shuffle_epi8(a, b));
    whole = _mm256_xor_si256(whole, _mm256_permutevar8x32_epi32(a, b));
    whole = _mm256_xor_si256(whole, _mm256_sllv_epi32(a, _mm256_srli_epi32(b, 26)));
    whole = _mm256_xor_si256(whole, _mm256_sad_epu8(a, b));
    int mask = _mm256_movemask_epi8(_mm256_cmpgt_epi8(a, b));
    mix(&mask, sizeof mask);
  }
  mix(&whole, sizeof whole);
  report("avx2");
}

AVX2 static void fused(void) {
  for (int i = 0; i < 20000; i++) {
    __m256d a = _mm256_castsi256_pd(any256()), b = _mm256_castsi256_pd(any256());
    __m256d c = _mm256_set1_pd(ordinary());
    __m256d results[] = {_mm256_fmadd_pd(a, b, c), _mm256_fnmsub_pd(a, c, b),
                         _mm256_fmaddsub_pd(c, a, b)};
    mix(results, sizeof results);
    mix_double(_mm_cvtsd_f64(_mm_fmsub_sd(_mm_set_sd(ordinary()), _mm_set_sd(ordinary()),
                                          _mm_set_sd(ordinary()))));
  }
  report("fused");
}

AVX2 static void halves(void) {
  for (int i = 0; i < 20000; i++) {
    __m128i half = _mm_set_epi64x((long long)next(), (long long)next());
    __m256 wide = _mm256_cvtph_ps(half);
    mix(&wide, sizeof wide);
    half = _mm256_cvtps_ph(_mm256_set1_ps((float)(ordinary() * 7e4)), _MM_FROUND_TO_NEAREST_INT);
    mix(&half, sizeof half);
  }
  report("halves");
}

AVX2 static void gathers(void) {
  static double table[256];
  static int numbers[264];
  for (int i = 0; i < 256; i++) table[i] = ordinary();
  for (int i = 0; i < 20000; i++) {
    __m256i mask = any256(), indices = _mm256_srli_epi32(any256(), 24);
    __m256i found = _mm256_mask_i32gather_epi32(mask, (const int *)table, indices, mask, 4);
    __m256d doubles = _mm256_i32gather_pd(table, _mm256_castsi256_si128(indices), 8);
    mix(&found, sizeof found);
    mix(&doubles, sizeof doubles);
    _mm256_maskstore_epi32(numbers + (i & 255), mask, indices);
    __m256i loaded = _mm256_maskload_epi32(numbers + (next() & 255), found);
    mix(&loaded, sizeof loaded);
  }
  mix(numbers, sizeof numbers);
  report("gathers");
}

int main(void) {
  sum = 1469598103934665603u;
  scalar();
  rounding();
  x87();
  vectors();
  library();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    avx();
    avx2();
    fused();
    halves();
    gathers();
  }
  return 0;
}
