// DCNv2 (Zhu et al., CVPR 2019; the sampling of ONNX DeformConv) in one launch per batch, without a column buffer.
//
//   y[n, m, p] = bias[m] + sum over channels c of m's group and taps t of
//                weight[m, c, t] * mask[n, t, p] * x[n, c](position of t at p + offset[n, t, p]), bilinear, 0 outside
//
// Positions and sums are FP32. `dcnv2_gemm` is an implicit matrix product: the samples that would fill a column buffer
// go into shared memory, a chunk of k = (channel, tap) at a time, in the weights' own order, while the chunk before is
// multiplied. `dcnv2_direct` is for groups of few output channels (depthwise), where a tile of products would be empty.
// A weight of 0 times an element that is not finite is NaN: a broken map spreads, it does not vanish.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "mma.cuh"
#include "sampling.cuh"

namespace edgefas {

// kTileRows output channels times kTileColumns pixels per block, for kWarpsRows x kWarpsColumns warps; kWarpsDeep of
// these take a part of each chunk of k, and their sums are added at the end. A chunk is kChunkBytes of one row.
template <typename T, int kTileRows, int kTileColumns, int kWarpsRows, int kWarpsColumns, int kWarpsDeep,
          int kChunkBytes>
struct Dcnv2Tile {
  static constexpr int32_t kRows = kTileRows;
  static constexpr int32_t kColumns = kTileColumns;
  static constexpr int32_t kThreads = 32 * kWarpsRows * kWarpsColumns * kWarpsDeep;
  static constexpr int32_t kBlocks = kThreads > 128 ? 2 : 3;  // at once on a multiprocessor, for its registers
  static constexpr int32_t kDepth = kChunkBytes / static_cast<int32_t>(sizeof(T));
  static constexpr int32_t kPack = kPackWidth<T>;
  static constexpr int32_t kPitch = kDepth + kPack;  // 4 words more: the lanes of a warp meet 32 different banks
  static constexpr int32_t kWarpRows = kRows / kWarpsRows;
  static constexpr int32_t kWarpColumns = kColumns / kWarpsColumns;
  static constexpr int32_t kWarpDepth = kDepth / kWarpsDeep;
  static constexpr int32_t kRowPieces = kWarpRows / kPieceRows;
  static constexpr int32_t kColumnPieces = kWarpColumns / kPieceColumns;
  static constexpr int32_t kRun = kDepth * kColumns / kThreads;  // samples of one pixel that a thread gathers
  static constexpr int32_t kWeightPacks = kRows * kDepth / kPack / kThreads;
  static constexpr int32_t kWeights = kRows * kPitch;
  static constexpr int32_t kSamples = kColumns * kPitch;
  static constexpr int32_t kBuffers = 2 * (kWeights + kSamples);  // elements, before the sample table

  static_assert(kRun % kPack == 0 && kRun * kThreads == kDepth * kColumns, "runs are whole packs");
  static_assert(kWeightPacks * kPack * kThreads == kRows * kDepth, "each thread loads the same number of packs");
  static_assert((kWarpsDeep - 1) * kRows * kColumns * 4 <= kBuffers * static_cast<int>(sizeof(T)), "sums fit there");

  static constexpr int32_t shared_bytes(int32_t taps) {
    return kBuffers * static_cast<int32_t>(sizeof(T)) + SampleTable<kColumns>::bytes(taps);
  }
};

// Many pixels: each sample is gathered once for up to 128 or 192 output channels, whichever needs fewer passes.
template <typename T>
using Dcnv2Large = Dcnv2Tile<T, 128, 64, 4, 2, 1, 64>;
template <typename T>
using Dcnv2Tall = Dcnv2Tile<T, 192, 64, 4, 2, 1, 64>;
// Few pixels (7x7 at batch 1): small tiles for many processors, a long k dealt out to four warps.
template <typename T>
using Dcnv2Small = Dcnv2Tile<T, 32, 16, 1, 1, 4, 256>;

template <typename T, typename Tile>
struct Dcnv2Loader {
  Dcnv2Shape shape;
  T const* x;       // from channel 0 of image 0 on
  T const* weight;  // of the block's first output channel
  SampleTable<Tile::kColumns> table;
  PatchSteps steps;
  int32_t rows;   // output channels of the group from there on
  int32_t depth;  // k of a whole group
  bool aligned;   // a pack of weights may be loaded at multiples of kPack
  Patch<T> patches[Tile::kRun];

  // Starts the loads for k in [first, last), at most a chunk: weights go to shared memory by themselves, pixels into
  // registers. `channel_of_zero` is that of k = 0.
  __device__ void fetch(int32_t first, int32_t last, int32_t channel_of_zero, T* weights_tile) {
#pragma unroll
    for (int32_t i = 0; i < Tile::kWeightPacks; ++i) {
      int32_t const place = i * Tile::kThreads + threadIdx.x;
      int32_t const row = place / (Tile::kDepth / Tile::kPack);
      int32_t const k = place % (Tile::kDepth / Tile::kPack) * Tile::kPack;
      copy_weights(weights_tile + row * Tile::kPitch + k, row, first + k, last);
    }
    __pipeline_commit();
    int32_t const taps = shape.kernel_h * shape.kernel_w;
    int32_t const plane = shape.height * shape.width;
    int32_t const k = first + run_start();
    int32_t tap = k % taps;
    T const* source = x + (channel_of_zero + k / taps) * plane;
    int32_t const* start = table.starts + tap * Tile::kColumns + threadIdx.x % Tile::kColumns;
#pragma unroll
    for (int32_t i = 0; i < Tile::kRun; ++i) {
      patches[i] = k + i < last ? Patch<T>::load(source + *start, steps) : Patch<T>{};
      start += Tile::kColumns;
      if (++tap == taps) {
        tap = 0;
        source += plane;
        start -= taps * Tile::kColumns;
      }
    }
  }

  // Weighs what `fetch` loaded, puts it into shared memory and waits for the weights.
  __device__ void store(T* samples_tile, int32_t first) const {
    int32_t const taps = shape.kernel_h * shape.kernel_w;
    int32_t const pixel = threadIdx.x % Tile::kColumns;
    int32_t tap = (first + run_start()) % taps;
    T* to = samples_tile + pixel * Tile::kPitch + run_start();
#pragma unroll
    for (int32_t i = 0; i < Tile::kRun; i += Tile::kPack) {
      Pack<T, Tile::kPack> pack;
#pragma unroll
      for (int32_t j = 0; j < Tile::kPack; ++j) {
        pack.values[j] = from_float<T>(patches[i + j].weigh(table.weights[tap * Tile::kColumns + pixel]));
        tap = tap + 1 == taps ? 0 : tap + 1;
      }
      store_shared(to + i, pack);
    }
    __pipeline_wait_prior(0);
  }

 private:
  __device__ static int32_t run_start() { return threadIdx.x / Tile::kColumns * Tile::kRun; }

  // One pack of a row of weights, zero outside the result and from `last` on.
  __device__ void copy_weights(T* to, int32_t row, int32_t k, int32_t last) const {
    bool const inside = row < rows && k < last;
    T const* from = inside ? weight + row * depth + k : weight;
    if (aligned && (!inside || k + Tile::kPack <= last)) {
      __pipeline_memcpy_async(to, from, sizeof(Pack<T, Tile::kPack>), inside ? 0 : sizeof(Pack<T, Tile::kPack>));
      return;
    }
    Pack<T, Tile::kPack> pack = {};
#pragma unroll
    for (int32_t i = 0; i < Tile::kPack; ++i) {
      if (inside && k + i < last) pack.values[i] = from[i];
    }
    store_shared(to, pack);
  }
};

// Grid: pixels of the batch / kColumns, groups * (output channels of a group / kRows), both rounded up.
template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    dcnv2_gemm(Dcnv2Shape shape, T const* x, T const* offset, T const* mask, T const* weight, T const* bias, T* y) {
  int32_t const taps = shape.kernel_h * shape.kernel_w;
  int32_t const channels = shape.channels / shape.groups;
  int32_t const outputs = shape.out_channels / shape.groups;
  int32_t const row_tiles = ceil_div(outputs, Tile::kRows);
  int32_t const group = blockIdx.y / row_tiles;
  int32_t const first_row = blockIdx.y % row_tiles * Tile::kRows;
  int32_t const first_output = group * outputs + first_row;
  int32_t const first_pixel = blockIdx.x * Tile::kColumns;
  int32_t const depth = channels * taps;

  int32_t const lane = threadIdx.x % 32;
  int32_t const warp = threadIdx.x / 32;
  int32_t const warp_row = warp % (Tile::kRows / Tile::kWarpRows) * Tile::kWarpRows;
  int32_t const warp_rest = warp / (Tile::kRows / Tile::kWarpRows);
  int32_t const warp_column = warp_rest % (Tile::kColumns / Tile::kWarpColumns) * Tile::kWarpColumns;
  int32_t const warp_part = warp_rest / (Tile::kColumns / Tile::kWarpColumns);
  int32_t const warp_depth = warp_part * Tile::kWarpDepth;
  int32_t const warp_rows = outputs - first_row - warp_row;

  T* weights = reinterpret_cast<T*>(shared_bytes());  // two buffers of both tiles
  T* samples = weights + 2 * Tile::kWeights;
  auto table = SampleTable<Tile::kColumns>::at(reinterpret_cast<unsigned char*>(weights + Tile::kBuffers), taps);
  T const* block_weight = weight + first_output * depth;
  bool const aligned = depth % Tile::kPack == 0 && reinterpret_cast<uintptr_t>(weight) % (Tile::kPack * sizeof(T)) == 0;
  Dcnv2Loader<T, Tile> loader{shape,   x, block_weight, table, patch_steps(shape), outputs - first_row, depth,
                              aligned, {}};

  float acc[Tile::kRowPieces][Tile::kColumnPieces][4] = {};
  int32_t const shared_by = shape.channels / shape.deformable_groups;  // channels of a deformable group
  for (int32_t channel = 0; channel < channels;) {
    // The channels of this group up to the next deformable group share one table.
    int32_t const deformable = (group * channels + channel) / shared_by;
    int32_t const next = least(channels, (deformable + 1) * shared_by - group * channels);
    int32_t const last = next * taps;
    int32_t k = channel * taps;
    table.fill(shape, offset, mask, first_pixel, deformable);
    loader.aligned = aligned && k % Tile::kPack == 0;
    loader.fetch(k, last, group * channels, weights);
    loader.store(samples, k);
    __syncthreads();
    for (int32_t buffer = 0; k < last; buffer ^= 1, k += Tile::kDepth) {
      bool const more = k + Tile::kDepth < last;
      int32_t const other = buffer ^ 1;
      if (more) loader.fetch(k + Tile::kDepth, last, group * channels, weights + other * Tile::kWeights);
      multiply<Tile::kWarpDepth, Tile::kPitch>(
          acc, weights + buffer * Tile::kWeights + warp_row * Tile::kPitch + warp_depth,
          samples + buffer * Tile::kSamples + warp_column * Tile::kPitch + warp_depth, lane, warp_rows);
      if (more) loader.store(samples + other * Tile::kSamples, k + Tile::kDepth);
      __syncthreads();
    }
    channel = next;
  }

  int32_t const row = warp_row + lane / 4;
  int32_t const column = warp_column + lane % 4 * 2;
  if constexpr (Tile::kWarpDepth < Tile::kDepth) {  // the buffers are free: they take the other warps' sums
    constexpr int32_t kParts = Tile::kDepth / Tile::kWarpDepth;
    float* sums = reinterpret_cast<float*>(weights);
    auto const each = [&](auto&& work) {
#pragma unroll
      for (int32_t i = 0; i < Tile::kRowPieces; ++i) {
#pragma unroll
        for (int32_t j = 0; j < Tile::kColumnPieces; ++j) {
#pragma unroll
          for (int32_t e = 0; e < 4; ++e) {
            int32_t const at = (row + i * kPieceRows + e / 2 * 8) * Tile::kColumns + column + j * kPieceColumns + e % 2;
            work(acc[i][j][e], at);
          }
        }
      }
    };
    if (warp_part > 0) {
      float* mine = sums + (warp_part - 1) * Tile::kWarpRows * Tile::kWarpColumns;
      each([&](float value, int32_t at) { mine[at] = value; });
    }
    __syncthreads();
    if (warp_part > 0) return;
    for (int32_t part = 1; part < kParts; ++part) {
      float const* theirs = sums + (part - 1) * Tile::kWarpRows * Tile::kWarpColumns;
      each([&](float& value, int32_t at) { value += theirs[at]; });
    }
  }

  int32_t const plane = shape.out_height * shape.out_width;
  int32_t const pixels = shape.batch * plane;
#pragma unroll
  for (int32_t j = 0; j < Tile::kColumnPieces; ++j) {
#pragma unroll
    for (int32_t e = 0; e < 2; ++e) {
      int32_t const pixel = first_pixel + column + j * kPieceColumns + e;
      if (pixel >= pixels) continue;
      T* to = y + (pixel / plane * shape.out_channels + first_output) * plane + pixel % plane;
#pragma unroll
      for (int32_t i = 0; i < 2 * Tile::kRowPieces; ++i) {
        int32_t const output = row + i * 8;
        if (first_row + output >= outputs) continue;
        float const value = acc[i / 2][j][i % 2 * 2 + e] + to_float(bias[first_output + output]);
        to[output * plane] = from_float<T>(value);
      }
    }
  }
}

constexpr int32_t kDirectPixels = 32;
constexpr int32_t kDirectRows = 8;

// A warp takes kDirectPixels pixels and kOutputs output channels, kDirectRows apart. Grid: pixels of the batch /
// kDirectPixels, output channels / (kDirectRows * kOutputs), both rounded up; shared memory: the sample table.
template <typename T, int kOutputs>
__global__ void __launch_bounds__(kDirectPixels* kDirectRows)
    dcnv2_direct(Dcnv2Shape shape, T const* x, T const* offset, T const* mask, T const* weight, T const* bias, T* y) {
  int32_t const taps = shape.kernel_h * shape.kernel_w;
  int32_t const plane = shape.height * shape.width;
  int32_t const channels = shape.channels / shape.groups;
  int32_t const outputs = shape.out_channels / shape.groups;
  int32_t const shared_by = shape.channels / shape.deformable_groups;
  int32_t const column = threadIdx.x % kDirectPixels;
  int32_t const first_pixel = blockIdx.x * kDirectPixels;
  int32_t const block_output = blockIdx.y * kDirectRows * kOutputs;
  int32_t const first_output = block_output + threadIdx.x / kDirectPixels;
  int32_t const last_output = least(block_output + kDirectRows * kOutputs, shape.out_channels) - 1;
  int32_t const first_deformable = block_output / outputs * channels / shared_by;
  int32_t const last_deformable = ((last_output / outputs + 1) * channels - 1) / shared_by;
  auto table = SampleTable<kDirectPixels>::at(shared_bytes(), taps);
  PatchSteps const steps = patch_steps(shape);

  float acc[kOutputs] = {};
  for (int32_t deformable = first_deformable; deformable <= last_deformable; ++deformable) {
    if (deformable > first_deformable) __syncthreads();  // the last table has been read
    table.fill(shape, offset, mask, first_pixel, deformable);
    for (int32_t c = 0; c < channels; ++c) {
      T const* sources[kOutputs];
      T const* weights[kOutputs];
      bool wanted[kOutputs];
#pragma unroll
      for (int32_t i = 0; i < kOutputs; ++i) {
        int32_t const output = first_output + i * kDirectRows;
        int32_t const channel = output / outputs * channels + c;
        wanted[i] = output <= last_output && channel / shared_by == deformable;
        sources[i] = x + channel * plane;
        weights[i] = weight + (output * channels + c) * taps;
      }
#pragma unroll 3
      for (int32_t tap = 0; tap < taps; ++tap) {
        float4 const sample = table.weights[tap * kDirectPixels + column];
        int32_t const start = table.starts[tap * kDirectPixels + column];
#pragma unroll
        for (int32_t i = 0; i < kOutputs; ++i) {
          if (!wanted[i]) continue;
          acc[i] = fmaf(to_float(weights[i][tap]), Patch<T>::load(sources[i] + start, steps).weigh(sample), acc[i]);
        }
      }
    }
  }

  int32_t const out_plane = shape.out_height * shape.out_width;
  int32_t const pixel = first_pixel + column;
  if (pixel >= shape.batch * out_plane) return;
#pragma unroll
  for (int32_t i = 0; i < kOutputs; ++i) {
    int32_t const output = first_output + i * kDirectRows;
    if (output > last_output) continue;
    int32_t const image = pixel / out_plane;
    y[(image * shape.out_channels + output) * out_plane + pixel % out_plane] =
        from_float<T>(acc[i] + to_float(bias[output]));
  }
}

}  // namespace edgefas
