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
constexpr int32_t kBteMostGroups = 16;

__device__ inline float sobel_gate(float const* mean, int32_t pitch, float alpha, float epsilon) {
  float const* up = mean - pitch;
  float const* down = mean + pitch;
  float const gx = (up[1] - up[-1]) + 2.0f * (mean[1] - mean[-1]) + (down[1] - down[-1]);
  float const gy = (down[-1] - up[-1]) + 2.0f * (down[0] - up[0]) + (down[1] - up[1]);
  return 1.0f / (1.0f + expf(-alpha * (sqrtf(gx * gx + gy * gy) + epsilon)));
}

template <typename T, int kWidth, bool kChannelsLast, int kThreads, int kHold>
struct BteBlock {
  static constexpr int32_t kPixels = kChannelsLast ? 1 : kWidth;  // of a cell

  BteShape shape;
  BteTile tile;
  int32_t x0, y0;  // of the rectangle
  float* partial;  // [lanes][pixels]: sums of the threads that share a cell
  float* mean;     // [tile.height + 2][tile.width + 2]; zero outside the map

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

  __device__ void put_partial(float const (&sum)[kPixels], int32_t lane, int32_t cell, int32_t cells) const {
#pragma unroll
    for (int32_t i = 0; i < kPixels; ++i) partial[(lane * cells + cell) * kPixels + i] = sum[i];
  }

  // Adds the partial sums of each pixel, in two steps if many threads shared a cell, and writes means where
  // `mean_index(pixel)` says, unless that is negative. All threads call it; the partial sums are free afterwards.
  template <typename Index>
  __device__ void reduce(int32_t lanes, int32_t pixels, Index mean_index) const {
    int32_t groups = lanes;
    __syncthreads();
    if (lanes > kBteMostGroups) {
      groups = kBteMostGroups;
      for (int32_t i = threadIdx.x; i < pixels * groups; i += kThreads) {
        float sum = partial[i];
        for (int32_t lane = i / pixels + groups; lane < lanes; lane += groups) {
          sum += partial[lane * pixels + i % pixels];
        }
        partial[i] = sum;  // read by no other thread before the barrier
      }
      __syncthreads();
    }
    for (int32_t pixel = threadIdx.x; pixel < pixels; pixel += kThreads) {
      float sum = 0.0f;
      for (int32_t group = 0; group < groups; ++group) sum += partial[group * pixels + pixel];
      int32_t const index = mean_index(pixel);
      if (index >= 0) mean[index] = sum / static_cast<float>(shape.channels);
    }
    __syncthreads();
  }

  // Means of the cells around the rectangle: the rows above and below, corners included, then left and right.
  __device__ void halo_means(T const* image) const {
    int32_t const columns = tile.width / kPixels;
    int32_t const cells = 2 * (columns + 2) + 2 * tile.height;
    auto const place = [&](int32_t cell, int32_t* row, int32_t* column) {
      int32_t const side = cell - 2 * (columns + 2);
      if (side < 0) {
        *row = cell < columns + 2 ? -1 : tile.height;
        *column = (cell % (columns + 2) - 1) * kPixels;
      } else {
        *row = side / 2;
        *column = side % 2 ? tile.width : -kPixels;
      }
    };
    int32_t const cell = kChannelsLast ? threadIdx.x / tile.halo_lanes : threadIdx.x % cells;
    int32_t const lane = kChannelsLast ? threadIdx.x % tile.halo_lanes : threadIdx.x / cells;
    if (cell < cells && lane < tile.halo_lanes) {
      float sum[kPixels] = {};
      int32_t row, column;
      place(cell, &row, &column);
      int32_t const start = cell_start(row, column);
      if (start >= 0) {
#pragma unroll 4
        for (int32_t i = lane; i < packs(); i += tile.halo_lanes) {
          add(sum, load_pack<T, kWidth>(image + start + i * stride()));
        }
      }
      put_partial(sum, lane, cell, cells);
    }
    reduce(tile.halo_lanes, cells * kPixels, [&](int32_t pixel) {
      int32_t row, column;
      place(pixel / kPixels, &row, &column);
      column += pixel % kPixels;
      bool const wanted = column >= -1 && column <= tile.width && cell_start(row, column) >= 0;
      return wanted ? (row + 1) * (tile.width + 2) + column + 1 : -1;
    });
  }
};

// Grid: batch * down * across * split blocks of kThreads; shared memory: bte_shared_bytes.
template <typename T, int kWidth, bool kChannelsLast, int kThreads, int kHold>
__global__ void __launch_bounds__(kThreads)
    bte_kernel(BteShape shape, BteTile tile, float alpha, float epsilon, T const* x, T* y) {
  using Block = BteBlock<T, kWidth, kChannelsLast, kThreads, kHold>;
  constexpr int32_t kPixels = Block::kPixels;

  int32_t index = blockIdx.x;
  int32_t const part = index % tile.split;
  index /= tile.split;
  int32_t const x0 = index % tile.across * tile.width;
  index /= tile.across;
  int32_t const y0 = index % tile.down * tile.height;
  int64_t const image = static_cast<int64_t>(index / tile.down) * shape.channels * shape.height * shape.width;
  x += image;
  y += image;

  int32_t const pitch = tile.width + 2;
  float* partial = reinterpret_cast<float*>(shared_bytes());
  float* mean = partial + kThreads * kPixels;
  float* gate = mean + (tile.height + 2) * pitch;
  Block const block{shape, tile, x0, y0, partial, mean};

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

  for (int32_t i = threadIdx.x; i < (tile.height + 2) * pitch; i += kThreads) mean[i] = 0.0f;

  Pack<T, kWidth> held[kHold];
  float sum[kPixels] = {};
  if (start >= 0) {
#pragma unroll
    for (int32_t k = 0; k < kHold; ++k) {
      int32_t const i = lane + k * tile.lanes;
      if (i < packs) held[k] = load_pack<T, kWidth>(x + start + i * stride);
    }
#pragma unroll
    for (int32_t k = 0; k < kHold; ++k) {
      if (lane + k * tile.lanes < packs) Block::add(sum, held[k]);
    }
#pragma unroll 4
    for (int32_t i = lane + kHold * tile.lanes; i < packs; i += tile.lanes) {
      Block::add(sum, load_pack<T, kWidth>(x + start + i * stride));
    }
  }
  if (shares) block.put_partial(sum, lane, cell, cells);
  block.reduce(tile.lanes, pixels, [&](int32_t pixel) {
    int32_t const row = pixel / tile.width;
    int32_t const column = pixel % tile.width;
    return block.cell_start(row, column) >= 0 ? (row + 1) * pitch + column + 1 : -1;
  });
  if (tile.across > 1 || tile.down > 1) block.halo_means(x);

  for (int32_t i = threadIdx.x; i < pixels; i += kThreads) {
    gate[i] = sobel_gate(mean + (i / tile.width + 1) * pitch + i % tile.width + 1, pitch, alpha, epsilon);
  }
  __syncthreads();

  if (start < 0) return;
  float own[kPixels];
#pragma unroll
  for (int32_t i = 0; i < kPixels; ++i) own[i] = gate[first_pixel + i];
  auto const apply = [&](int32_t i, Pack<T, kWidth> pack) {
#pragma unroll
    for (int32_t j = 0; j < kWidth; ++j) {
      pack.values[j] = from_float<T>(to_float(pack.values[j]) * own[kChannelsLast ? 0 : j]);
    }
    store_pack<T, kWidth>(y + start + i * stride, pack);
  };
  int32_t const rounds = ceil_div(packs, tile.lanes);
  int32_t const first = part * rounds / tile.split;
  int32_t const last = (part + 1) * rounds / tile.split;
#pragma unroll
  for (int32_t k = 0; k < kHold; ++k) {
    int32_t const i = lane + k * tile.lanes;
    if (k >= first && k < last && i < packs) apply(i, held[k]);
  }
#pragma unroll 4
  for (int32_t k = greatest(kHold, first); k < last; ++k) {
    int32_t const i = lane + k * tile.lanes;
    if (i < packs) apply(i, load_pack<T, kWidth>(x + start + i * stride));
  }
}

template <int kPixels, int kThreads>
constexpr int32_t bte_shared_bytes(BteTile const& tile) {
  int32_t const means = (tile.width + 2) * (tile.height + 2);
  return static_cast<int32_t>(sizeof(float)) * (kThreads * kPixels + means + tile.width * tile.height);
}

}  // namespace edgefas
