// BTE (DAH-FAS, eq. 7-11): y = x * sigmoid(alpha * (|Sobel(mean of x over channels)| + epsilon)).
//
// One launch. A block owns a rectangle of pixels and all their channels: it sums over channels (first reading), turns
// the means in shared memory into gates, and multiplies. What a thread read it holds in registers, kHold packs of it,
// so that each element comes from device memory once; channels beyond that, the rim of one pixel around a rectangle,
// and the maps that several blocks share (below) are read again, from L2.
//
// A map of at most kBteWholeMap pixels is one rectangle, and has no rim. Where that leaves processors idle (batch 1),
// `split` blocks share a rectangle: each sums all channels, which costs L2 reads but neither a second launch nor a
// workspace nor atomics, and gates its part of them. Sums are FP32 in an order fixed by the launch.
#pragma once

#include <cmath>

#include "numeric.cuh"

namespace edgefas {

struct BteShape {
  int32_t batch, channels, height, width;
};

// How pixels and channels are dealt out. A cell is what one access spans in space: a pack of pixels in linear layout,
// one pixel in channels-last layout, where the pack spans channels.
struct BteTile {
  int32_t width, height;      // of the rectangle, in pixels
  int32_t across, down;       // rectangles that cover the map
  int32_t lanes, halo_lanes;  // threads that share the channels of a cell, inside and on the rim
  int32_t split;              // blocks that share a rectangle
};

constexpr int32_t kBteWholeMap = 256;
__host__ __device__ constexpr int32_t bte_threads(bool tiled) { return tiled ? 256 : 1024; }
constexpr int32_t kBteMostGroups = 16;

__device__ inline float sobel_gate(float const* mean, int32_t pitch, float alpha, float epsilon) {
  float const* up = mean - pitch;
  float const* down = mean + pitch;
  float const gx = (up[1] - up[-1]) + 2.0f * (mean[1] - mean[-1]) + (down[1] - down[-1]);
  float const gy = (down[-1] - up[-1]) + 2.0f * (down[0] - up[0]) + (down[1] - up[1]);
  return 1.0f / (1.0f + expf(-alpha * (sqrtf(gx * gx + gy * gy) + epsilon)));
}

// Partial sums in shared memory, [lanes][pixels], of threads that share the channels of a pixel. Where those are many,
// `fold` leaves kBteMostGroups of them, and a barrier must lie between it and `total`.
struct BteSums {
  float* partial;
  int32_t lanes, pixels;

  __device__ bool many() const { return lanes > kBteMostGroups; }

  __device__ void fold() const {
    for (int32_t i = threadIdx.x; i < pixels * kBteMostGroups; i += blockDim.x) {
      float sum = partial[i];
      for (int32_t lane = i / pixels + kBteMostGroups; lane < lanes; lane += kBteMostGroups) {
        sum += partial[lane * pixels + i % pixels];
      }
      partial[i] = sum;  // no other thread reads it before the barrier
    }
  }

  __device__ float total(int32_t pixel) const {
    float sum = 0.0f;
    for (int32_t lane = 0; lane < least(lanes, kBteMostGroups); ++lane) sum += partial[lane * pixels + pixel];
    return sum;
  }
};

template <typename T, int kWidth, bool kChannelsLast>
struct BteBlock {
  static constexpr int32_t kPixels = kChannelsLast ? 1 : kWidth;  // of a cell

  BteShape shape;
  BteTile tile;
  int32_t x0, y0;  // of the rectangle

  // Packs along the channels of a cell, and the distance from one to the next.
  __device__ int32_t packs() const { return kChannelsLast ? shape.channels / kWidth : shape.channels; }
  __device__ int32_t stride() const { return kChannelsLast ? kWidth : shape.height * shape.width; }

  // The first element of the cell whose first pixel is (row, column) of the rectangle, or -1 outside the map.
  __device__ int32_t cell_start(int32_t row, int32_t column) const {
    int32_t const y = y0 + row;
    int32_t const x = x0 + column;
    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) return -1;
    int32_t const pixel = y * shape.width + x;
    return kChannelsLast ? pixel * shape.channels : pixel;
  }

  __device__ static void add(float (&sum)[kPixels], Pack<T, kWidth> const& pack) {
#pragma unroll
    for (int32_t i = 0; i < kWidth; ++i) sum[kChannelsLast ? 0 : i] += to_float(pack.values[i]);
  }

  __device__ static void put(BteSums const& sums, float const (&sum)[kPixels], int32_t lane, int32_t cell) {
#pragma unroll
    for (int32_t i = 0; i < kPixels; ++i) sums.partial[lane * sums.pixels + cell * kPixels + i] = sum[i];
  }

  // Where a cell of the rim lies: the rows above and below, corners included, then left and right.
  __device__ void halo_place(int32_t cell, int32_t* row, int32_t* column) const {
    int32_t const across = tile.width / kPixels + 2;
    int32_t const side = cell - 2 * across;
    if (side < 0) {
      *row = cell < across ? -1 : tile.height;
      *column = (cell % across - 1) * kPixels;
    } else {
      *row = side / 2;
      *column = side % 2 ? tile.width : -kPixels;
    }
  }

  __device__ void sum_halo(BteSums const& sums, T const* image) const {
    int32_t const cells = sums.pixels / kPixels;
    int32_t const cell = kChannelsLast ? threadIdx.x / sums.lanes : threadIdx.x % cells;
    int32_t const lane = kChannelsLast ? threadIdx.x % sums.lanes : threadIdx.x / cells;
    if (cell >= cells || lane >= sums.lanes) return;
    float sum[kPixels] = {};
    int32_t row, column;
    halo_place(cell, &row, &column);
    int32_t const start = cell_start(row, column);
    if (start >= 0) {
#pragma unroll 4
      for (int32_t i = lane; i < packs(); i += sums.lanes) add(sum, load_pack<T, kWidth>(image + start + i * stride()));
    }
    put(sums, sum, lane, cell);
  }
};

// kTiled: the map is more than one rectangle, so there is a rim. Grid: batch * down * across * split blocks of
// bte_threads; shared memory: bte_shared_bytes.
template <typename T, int kWidth, bool kChannelsLast, bool kTiled>
__global__ void __launch_bounds__(bte_threads(kTiled), kTiled ? 2 : 1)
    bte_kernel(BteShape shape, BteTile tile, float alpha, float epsilon, T const* x, T* y) {
  using Block = BteBlock<T, kWidth, kChannelsLast>;
  constexpr int32_t kPixels = Block::kPixels;
  constexpr int32_t kThreads = bte_threads(kTiled);
  constexpr int32_t kHold = kTiled ? 16 : 4;

  int32_t index = blockIdx.x;
  int32_t const part = index % tile.split;
  index /= tile.split;
  int32_t const x0 = index % tile.across * tile.width;
  index /= tile.across;
  int32_t const y0 = index % tile.down * tile.height;
  int64_t const image = static_cast<int64_t>(index / tile.down) * shape.channels * shape.height * shape.width;
  x += image;
  y += image;

  Block const block{shape, tile, x0, y0};
  int32_t const pixels = tile.width * tile.height;
  int32_t const cells = pixels / kPixels;
  // Neighbouring threads read neighbouring packs: of pixels in linear layout, of channels in channels-last layout.
  int32_t const cell = kChannelsLast ? threadIdx.x / tile.lanes : threadIdx.x % cells;
  int32_t const lane = kChannelsLast ? threadIdx.x % tile.lanes : threadIdx.x / cells;
  bool const shares = cell < cells && lane < tile.lanes;
  int32_t const first_pixel = cell * kPixels;
  int32_t const start = shares ? block.cell_start(first_pixel / tile.width, first_pixel % tile.width) : -1;
  int32_t const packs = block.packs();
  int32_t const stride = block.stride();

  float* free = reinterpret_cast<float*>(shared_bytes());
  BteSums const sums{free, tile.lanes, pixels};
  free += kThreads * kPixels;
  BteSums const halo{free, tile.halo_lanes, (2 * (tile.width / kPixels + 2) + 2 * tile.height) * kPixels};
  if constexpr (kTiled) free += kThreads * kPixels;
  int32_t const pitch = tile.width + 2;
  float* mean = free;  // [tile.height + 2][pitch]; zero outside the map
  float* gate = mean + (tile.height + 2) * pitch;

  for (int32_t i = threadIdx.x; i < (tile.height + 2) * pitch; i += kThreads) mean[i] = 0.0f;

  // Of the packs of a cell a lane takes every tile.lanes-th, from its own on.
  int64_t const step = static_cast<int64_t>(tile.lanes) * stride;
  int64_t const own_start = start + static_cast<int64_t>(lane) * stride;
  int32_t const own = start < 0 ? 0 : (packs - lane + tile.lanes - 1) / tile.lanes;

  Pack<T, kWidth> held[kHold];
  float sum[kPixels] = {};
  T const* from = x + own_start;
#pragma unroll
  for (int32_t k = 0; k < kHold; ++k, from += step) {
    if (k < own) held[k] = load_pack<T, kWidth>(from);
  }
  if constexpr (kTiled) block.sum_halo(halo, x);  // while those loads are on their way
#pragma unroll
  for (int32_t k = 0; k < kHold; ++k) {
    if (k < own) Block::add(sum, held[k]);
  }
#pragma unroll 4
  for (int32_t k = kHold; k < own; ++k, from += step) Block::add(sum, load_pack<T, kWidth>(from));
  if (shares) Block::put(sums, sum, lane, cell);
  __syncthreads();
  if constexpr (!kTiled) {  // only a small map has few cells, hence many lanes
    if (sums.many()) {
      sums.fold();
      __syncthreads();
    }
  }
  auto const put_mean = [&](int32_t row, int32_t column, float total) {
    if (block.cell_start(row, column) < 0) return;
    mean[(row + 1) * pitch + column + 1] = total / static_cast<float>(shape.channels);
  };
  for (int32_t i = threadIdx.x; i < pixels; i += kThreads) put_mean(i / tile.width, i % tile.width, sums.total(i));
  if constexpr (kTiled) {
    for (int32_t i = threadIdx.x; i < halo.pixels; i += kThreads) {
      int32_t row, column;
      block.halo_place(i / kPixels, &row, &column);
      column += i % kPixels;  // a pack reaches beyond the rim
      if (column >= -1 && column <= tile.width) put_mean(row, column, halo.total(i));
    }
  }
  __syncthreads();

  for (int32_t i = threadIdx.x; i < pixels; i += kThreads) {
    gate[i] = sobel_gate(mean + (i / tile.width + 1) * pitch + i % tile.width + 1, pitch, alpha, epsilon);
  }
  __syncthreads();

  if (start < 0) return;
  float factors[kPixels];
#pragma unroll
  for (int32_t i = 0; i < kPixels; ++i) factors[i] = gate[first_pixel + i];
  auto const apply = [&](int32_t k, Pack<T, kWidth> pack) {
#pragma unroll
    for (int32_t i = 0; i < kWidth; ++i) {
      pack.values[i] = from_float<T>(to_float(pack.values[i]) * factors[kChannelsLast ? 0 : i]);
    }
    store_pack<T, kWidth>(y + own_start + k * step, pack);
  };
  int32_t const rounds = ceil_div(packs, tile.lanes);
  int32_t const first = part * rounds / tile.split;
  int32_t const last = least((part + 1) * rounds / tile.split, own);
#pragma unroll
  for (int32_t k = 0; k < kHold; ++k) {
    if (k >= first && k < last) apply(k, held[k]);
  }
#pragma unroll 4
  for (int32_t k = greatest(kHold, first); k < last; ++k) apply(k, load_pack<T, kWidth>(x + own_start + k * step));
}

template <int kPixels, bool kTiled>
constexpr int32_t bte_shared_bytes(BteTile const& tile) {
  int32_t const sums = bte_threads(kTiled) * kPixels * (kTiled ? 2 : 1);
  int32_t const means = (tile.width + 2) * (tile.height + 2);
  return static_cast<int32_t>(sizeof(float)) * (sums + means + tile.width * tile.height);
}

}  // namespace edgefas
