// What compressed clusters of disk images need of zlib and zstd, as Debian's zlib1g-dev and libzstd-dev install them.
#pragma once
#include <string.h>
#include <zlib.h>
#include <zstd.h>

// Inflates raw deflate data with a window of 4 KiB; returns how many bytes came out, -1 for bad data. What follows
// the data in their last sector is not theirs.
static inline long ccompression_inflate(const void *source, unsigned source_count, void *target, unsigned target_count) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, -12) != Z_OK) return -1;
  stream.next_in = (unsigned char *)source;
  stream.avail_in = source_count;
  stream.next_out = target;
  stream.avail_out = target_count;
  int result = inflate(&stream, Z_FINISH);
  long count = (long)(target_count - stream.avail_out);
  inflateEnd(&stream);
  return result == Z_STREAM_END || (result == Z_BUF_ERROR && stream.avail_out == 0) ? count : -1;
}

// Returns how many bytes the data became, 0 if they do not fit.
static inline long ccompression_deflate(const void *source, unsigned source_count, void *target, unsigned target_count) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
  stream.next_in = (unsigned char *)source;
  stream.avail_in = source_count;
  stream.next_out = target;
  stream.avail_out = target_count;
  int result = deflate(&stream, Z_FINISH);
  long count = result == Z_STREAM_END ? (long)(target_count - stream.avail_out) : 0;
  deflateEnd(&stream);
  return count;
}

// The same for zstd frames. Their windows are limited to 16 MiB of memory: no cluster needs more than 2 MiB.
static inline long ccompression_zstd_decompress(const void *source, size_t source_count, void *target, size_t target_count) {
  ZSTD_DCtx *context = ZSTD_createDCtx();
  if (!context) return -1;
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 24);
  ZSTD_inBuffer input = {source, source_count, 0};
  ZSTD_outBuffer output = {target, target_count, 0};
  size_t result = 0;
  while (output.pos < output.size && input.pos < input.size) {
    size_t consumed = input.pos, produced = output.pos;
    result = ZSTD_decompressStream(context, &output, &input);
    if (ZSTD_isError(result) || (input.pos == consumed && output.pos == produced)) break;
  }
  ZSTD_freeDCtx(context);
  return ZSTD_isError(result) ? -1 : (long)output.pos;
}

static inline long ccompression_zstd_compress(const void *source, size_t source_count, void *target, size_t target_count) {
  size_t result = ZSTD_compress(target, target_count, source, source_count, 3);
  return ZSTD_isError(result) ? 0 : (long)result;
}
