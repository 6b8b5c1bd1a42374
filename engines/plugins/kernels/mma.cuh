// The multiply-accumulate of one warp on a tile in shared memory: tensor cores for FP16, FMA for FP32.
//
// A is [rows][k] and B is [columns][k], k contiguous, both with the same pitch. A lane owns the same four elements of
// each 16x8 piece of the result in both versions, those of the PTX ISA's "mma.m16n8k16": rows lane / 4 and + 8, columns
// lane % 4 * 2 and + 1.
#pragma once

#include "numeric.cuh"

namespace edgefas {

constexpr int32_t kPieceRows = 16;
constexpr int32_t kPieceColumns = 8;

// d += a * b on tensor cores; see the PTX ISA for what each lane holds. Built without CUDA, a function of the build's.
__device__ inline void mma_m16n8k16(float (&d)[4], uint32_t const (&a)[4], uint32_t const (&b)[2]) {
#ifdef __CUDACC__
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the FP16 kernels need tensor cores with m16n8k16: compute capability 8.0 or newer"
#endif
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  host_mma_m16n8k16(d, a, b);
#endif
}

// Two halves that lie beside each other along k.
__device__ inline uint32_t load_pair(__half const* address) {
  uint32_t pair;
  memcpy(&pair, __builtin_assume_aligned(address, sizeof(pair)), sizeof(pair));
  return pair;
}

// acc += A * B over kDepth of k. Rows from `rows` on are outside the result: their pieces are skipped.
template <int kDepth, int kPitch, int kRowPieces, int kColumnPieces>
__device__ inline void multiply(float (&acc)[kRowPieces][kColumnPieces][4], __half const* a, __half const* b,
                                int32_t lane, int32_t rows) {
  static_assert(kDepth % 16 == 0 && kPitch % 2 == 0, "a step of mma is 16 deep, pairs are aligned");
  __half const* a_lane = a + lane / 4 * kPitch + lane % 4 * 2;
  __half const* b_lane = b + lane / 4 * kPitch + lane % 4 * 2;
#pragma unroll
  for (int32_t k = 0; k < kDepth; k += 16) {
    uint32_t b_pairs[kColumnPieces][2];
#pragma unroll
    for (int32_t j = 0; j < kColumnPieces; ++j) {
      __half const* column = b_lane + j * kPieceColumns * kPitch + k;
      b_pairs[j][0] = load_pair(column);
      b_pairs[j][1] = load_pair(column + 8);
    }
#pragma unroll
    for (int32_t i = 0; i < kRowPieces; ++i) {
      if (i * kPieceRows >= rows) break;
      __half const* row = a_lane + i * kPieceRows * kPitch + k;
      uint32_t const a_pairs[4] = {load_pair(row), load_pair(row + 8 * kPitch), load_pair(row + 8),
                                   load_pair(row + 8 * kPitch + 8)};
#pragma unroll
      for (int32_t j = 0; j < kColumnPieces; ++j) mma_m16n8k16(acc[i][j], a_pairs, b_pairs[j]);
    }
  }
}

template <int kDepth, int kPitch, int kRowPieces, int kColumnPieces>
__device__ inline void multiply(float (&acc)[kRowPieces][kColumnPieces][4], float const* a, float const* b,
                                int32_t lane, int32_t rows) {
  float const* a_lane = a + lane / 4 * kPitch;
  float const* b_lane = b + lane % 4 * 2 * kPitch;
#pragma unroll 4
  for (int32_t k = 0; k < kDepth; ++k) {
    float columns[kColumnPieces][2];
#pragma unroll
    for (int32_t j = 0; j < kColumnPieces; ++j) {
#pragma unroll
      for (int32_t i = 0; i < 2; ++i) columns[j][i] = b_lane[(j * kPieceColumns + i) * kPitch + k];
    }
#pragma unroll
    for (int32_t i = 0; i < kRowPieces; ++i) {
      if (i * kPieceRows >= rows) break;
      float const upper = a_lane[i * kPieceRows * kPitch + k];
      float const lower = a_lane[(i * kPieceRows + 8) * kPitch + k];
#pragma unroll
      for (int32_t j = 0; j < kColumnPieces; ++j) {
        acc[i][j][0] = fmaf(upper, columns[j][0], acc[i][j][0]);
        acc[i][j][1] = fmaf(upper, columns[j][1], acc[i][j][1]);
        acc[i][j][2] = fmaf(lower, columns[j][0], acc[i][j][2]);
        acc[i][j][3] = fmaf(lower, columns[j][1], acc[i][j][3]);
      }
    }
  }
}

}  // namespace edgefas
