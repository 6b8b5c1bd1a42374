// The launchers: what callers (TensorRT, PyTorch, tests) use. They check, pick a kernel and its grid, and launch once.
//
// Pointers are device pointers; outputs do not overlap inputs. A shape that is not legal, or more than kMostElements in
// a tensor, gives cudaErrorInvalidValue and launches nothing. Nothing is allocated and no state is kept:
// any number of streams may call at a time. Which kernel a shape gets, and how many blocks, was chosen by reasoning:
// none of this was timed on a GPU.
#pragma once

#include <cuda_runtime.h>

#include "bte.cuh"
#include "dcnv2.cuh"

namespace edgefas {

enum class Type { kF32, kF16 };
enum class Layout { kLinear, kChannelsLast };

constexpr int32_t kMostTaps = 64;                         // of DCNv2; their samples fit into shared memory
constexpr int32_t kMostElements = INT32_MAX - (1 << 16);  // of a tensor; indices are 32 bits, a tile may stick out
constexpr int32_t kMostCoordinate = 1 << 24;              // of DCNv2's maps and padding; float holds each whole number

namespace detail {

constexpr int32_t kFreeShared = 48 * 1024;  // what every device grants without being asked
constexpr int32_t kMostShared = 64 * 1024;  // what we ask for at most: two blocks then fit into any multiprocessor

template <typename... Sizes>
bool countable(Sizes... sizes) {
  int64_t count = 1;
  for (int64_t size : {static_cast<int64_t>(sizes)...}) {
    if (size < 1) return false;
    count *= size;
    if (count > kMostElements) return false;
  }
  return true;
}

template <typename... Pointers>
bool given(Pointers... pointers) {
  return ((pointers != nullptr) && ...);
}

inline bool aligned(void const* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

inline cudaError_t processors(int32_t* count) {
  int device = 0;
  cudaError_t const found = cudaGetDevice(&device);
  return found == cudaSuccess ? cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device) : found;
}

template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, int32_t threads, int32_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  if (shared_bytes > kFreeShared) {
    cudaError_t const error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

template <typename T, int kWidth, bool kChannelsLast, bool kTiled>
cudaError_t bte_tiles(BteShape const& shape, int32_t tile_w, int32_t tile_h, float alpha, float epsilon, T const* x,
                      T* y, cudaStream_t stream) {
  constexpr int32_t kPixels = kChannelsLast ? 1 : kWidth;
  constexpr int32_t kThreads = bte_threads(kTiled);
  constexpr int32_t kMostSplit = 8;
  int32_t multiprocessors = 0;
  if (cudaError_t const error = processors(&multiprocessors)) return error;
  int32_t const packs = kChannelsLast ? shape.channels / kWidth : shape.channels;
  int32_t const columns = tile_w / kPixels;  // of a tile's cells; a whole map may be narrower than one
  BteTile tile{tile_w, tile_h, ceil_div(shape.width, tile_w), ceil_div(shape.height, tile_h), 0, 0, 1};
  tile.lanes = least(kThreads / (tile_w * tile_h / kPixels), packs);
  tile.halo_lanes = least(kThreads / (2 * (columns + 2) + 2 * tile_h), packs);
  int64_t const blocks = static_cast<int64_t>(shape.batch) * tile.across * tile.down;
  int32_t const idle = static_cast<int32_t>(multiprocessors / blocks);  // processors per rectangle
  tile.split = greatest(1, least(least(idle, kMostSplit), ceil_div(packs, tile.lanes)));
  if (blocks * tile.split > INT32_MAX) return cudaErrorInvalidValue;
  return launch(bte_kernel<T, kWidth, kChannelsLast, kTiled>, dim3(static_cast<unsigned>(blocks * tile.split)),
                kThreads, bte_shared_bytes<kPixels, kTiled>(tile), stream, shape, tile, alpha, epsilon, x, y);
}

template <typename T, int kWidth, bool kChannelsLast>
cudaError_t bte(BteShape const& shape, float alpha, float epsilon, T const* x, T* y, cudaStream_t stream) {
  if (static_cast<int64_t>(shape.height) * shape.width <= kBteWholeMap) {
    return bte_tiles<T, kWidth, kChannelsLast, false>(shape, shape.width, shape.height, alpha, epsilon, x, y, stream);
  }
  // Eight cells of 16 bytes across fill cache lines; single elements need more of them.
  constexpr int32_t kTileWidth = kChannelsLast ? 8 : (kWidth == 1 ? 32 : 8 * kWidth);
  return bte_tiles<T, kWidth, kChannelsLast, true>(shape, kTileWidth, 8, alpha, epsilon, x, y, stream);
}

template <typename T>
cudaError_t bte(BteShape const& shape, float alpha, float epsilon, Layout layout, T const* x, T* y,
                cudaStream_t stream) {
  constexpr int32_t kWidth = kPackWidth<T>;
  bool const whole = static_cast<int64_t>(shape.height) * shape.width <= kBteWholeMap;
  int32_t const row = whole ? shape.height * shape.width : shape.width;  // what a pack may not stick out of
  bool const packs = aligned(x) && aligned(y);
  if (layout == Layout::kChannelsLast) {
    return packs && shape.channels % kWidth == 0 ? bte<T, kWidth, true>(shape, alpha, epsilon, x, y, stream)
                                                 : bte<T, 1, true>(shape, alpha, epsilon, x, y, stream);
  }
  return packs && row % kWidth == 0 ? bte<T, kWidth, false>(shape, alpha, epsilon, x, y, stream)
                                    : bte<T, 1, false>(shape, alpha, epsilon, x, y, stream);
}

inline bool legal_axis(int32_t size, int32_t out, int32_t kernel, int32_t stride, int32_t padding, int32_t dilation) {
  if (kernel < 1 || stride < 1 || padding < 0 || dilation < 1) return false;
  if (size > kMostCoordinate || padding > kMostCoordinate) return false;
  int64_t const reach = static_cast<int64_t>(dilation) * (kernel - 1) + 1;
  int64_t const room = size + 2 * static_cast<int64_t>(padding) - reach;
  return room >= 0 && out == room / stride + 1;
}

inline bool legal(Dcnv2Shape const& s) {
  if (!countable(s.kernel_h, s.kernel_w) || s.kernel_h * s.kernel_w > kMostTaps) return false;
  if (!countable(s.groups, s.deformable_groups)) return false;
  int32_t const taps = s.kernel_h * s.kernel_w;
  return countable(s.batch, s.channels, s.height, s.width) &&
         countable(s.batch, s.out_channels, s.out_height, s.out_width) && s.channels % s.groups == 0 &&
         s.out_channels % s.groups == 0 && s.channels % s.deformable_groups == 0 &&
         countable(int64_t{2} * s.batch, s.deformable_groups, taps, s.out_height, s.out_width) &&
         countable(s.out_channels, s.channels / s.groups, taps) &&
         legal_axis(s.height, s.out_height, s.kernel_h, s.stride_h, s.padding_h, s.dilation_h) &&
         legal_axis(s.width, s.out_width, s.kernel_w, s.stride_w, s.padding_w, s.dilation_w);
}

constexpr int32_t kDirectOutputs = 4;  // groups of fewer output channels take the direct kernel
constexpr int32_t kMostGridY = 65535;

template <typename T>
cudaError_t dcnv2(Dcnv2Shape const& s, T const* x, T const* offset, T const* mask, T const* weight, T const* bias, T* y,
                  cudaStream_t stream) {
  int32_t multiprocessors = 0;
  if (cudaError_t const error = processors(&multiprocessors)) return error;
  int32_t const taps = s.kernel_h * s.kernel_w;
  int32_t const pixels = s.batch * s.out_height * s.out_width;
  auto const run = [&](auto kernel, int32_t columns, int32_t row_blocks, int32_t threads, int32_t shared_bytes) {
    if (row_blocks > kMostGridY) return cudaErrorInvalidValue;
    dim3 const grid(static_cast<unsigned>(ceil_div(pixels, columns)), static_cast<unsigned>(row_blocks));
    return launch(kernel, grid, threads, shared_bytes, stream, s, x, offset, mask, weight, bias, y);
  };

  int32_t const outputs = s.out_channels / s.groups;
  if (outputs < kDirectOutputs) {
    constexpr int32_t kThreads = kDirectPixels * kDirectRows;
    int32_t const shared_bytes = SampleTable<kDirectPixels>::bytes(taps);
    int32_t const many = ceil_div(s.out_channels, kDirectRows * 4);
    if (static_cast<int64_t>(ceil_div(pixels, kDirectPixels)) * many >= 2 * multiprocessors) {
      return run(dcnv2_direct<T, 4>, kDirectPixels, many, kThreads, shared_bytes);
    }
    return run(dcnv2_direct<T, 1>, kDirectPixels, ceil_div(s.out_channels, kDirectRows), kThreads, shared_bytes);
  }
  auto const gemm = [&](auto tile) {
    using Tile = decltype(tile);
    return run(dcnv2_gemm<T, Tile>, Tile::kColumns, s.groups * ceil_div(outputs, Tile::kRows), Tile::kThreads,
               Tile::shared_bytes(taps));
  };
  using Large = Dcnv2Large<T>;
  using Tall = Dcnv2Tall<T>;
  using Small = Dcnv2Small<T>;
  static_assert(Small::shared_bytes(kMostTaps) <= kFreeShared, "the small tile takes whatever the others do not");
  int32_t const passes = ceil_div(outputs, Large::kRows);
  int64_t const blocks = static_cast<int64_t>(ceil_div(pixels, Large::kColumns)) * s.groups * passes;
  if (2 * blocks < multiprocessors || outputs <= Small::kRows || Tall::shared_bytes(taps) > kMostShared) {
    return gemm(Small{});
  }
  return ceil_div(outputs, Tall::kRows) < passes ? gemm(Tall{}) : gemm(Large{});
}

}  // namespace detail

// y = BTE(x), both (batch, channels, height, width) elements in `layout`; alpha and epsilon as in bte.cuh.
inline cudaError_t launch_bte(BteShape shape, float alpha, float epsilon, Type type, Layout layout, void const* x,
                              void* y, cudaStream_t stream) {
  if (!detail::given(x, y) || !detail::countable(shape.batch, shape.channels, shape.height, shape.width)) {
    return cudaErrorInvalidValue;
  }
  if (type == Type::kF16) {
    return detail::bte(shape, alpha, epsilon, layout, static_cast<__half const*>(x), static_cast<__half*>(y), stream);
  }
  return detail::bte(shape, alpha, epsilon, layout, static_cast<float const*>(x), static_cast<float*>(y), stream);
}

// x (N, C, H, W), offset (N, 2 * deformable_groups * taps, Ho, Wo) per group and tap dy then dx, mask
// (N, deformable_groups * taps, Ho, Wo), weight (M, C / groups, kernel_h, kernel_w), bias (M,) -> y (N, M, Ho, Wo).
inline cudaError_t launch_dcnv2(Dcnv2Shape const& shape, Type type, void const* x, void const* offset, void const* mask,
                                void const* weight, void const* bias, void* y, cudaStream_t stream) {
  if (!detail::given(x, offset, mask, weight, bias, y) || !detail::legal(shape)) return cudaErrorInvalidValue;
  auto const run = [&](auto zero) {
    using T = decltype(zero);
    return detail::dcnv2(shape, static_cast<T const*>(x), static_cast<T const*>(offset), static_cast<T const*>(mask),
                         static_cast<T const*>(weight), static_cast<T const*>(bias), static_cast<T*>(y), stream);
  };
  return type == Type::kF16 ? run(__half{}) : run(float{});
}

}  // namespace edgefas
