// What the tests call through ctypes: the launchers, on host memory. ONLY_BTE and ONLY_DCNV2 compile less.
#include <cuda_fp16.h>

#include "launch.cuh"

using edgefas::Dcnv2Shape;

extern "C" {

void shim_device(int processors, int last_first) {
  shim::processors = processors;
  shim::last_first = last_first != 0;
  shim::launches = 0;
}

int shim_launches() { return shim::launches; }
int shim_last_blocks() { return static_cast<int>(gridDim.x * gridDim.y * gridDim.z); }
int shim_last_shared_bytes() { return static_cast<int>(shim::shared_bytes); }
int shim_last_threads() { return static_cast<int>(shim::threads); }

void shim_half(float const* from, uint16_t* to, int count) {
  for (int i = 0; i < count; ++i) to[i] = __float2half_rn(from[i]).bits;
}

void shim_float(uint16_t const* from, float* to, int count) {
  for (int i = 0; i < count; ++i) to[i] = __half2float(__half{from[i]});
}

#ifndef ONLY_DCNV2
int bte(int const* shape, float alpha, float epsilon, int half, int channels_last, void const* x, void* y) {
  auto const type = half ? edgefas::Type::kF16 : edgefas::Type::kF32;
  auto const layout = channels_last ? edgefas::Layout::kChannelsLast : edgefas::Layout::kLinear;
  return edgefas::launch_bte({shape[0], shape[1], shape[2], shape[3]}, alpha, epsilon, type, layout, x, y, nullptr);
}
#endif

#ifndef ONLY_BTE
int dcnv2(int const* numbers, int half, void const* x, void const* offset, void const* mask, void const* weight,
          void const* bias, void* y) {
  static_assert(sizeof(Dcnv2Shape) == 17 * sizeof(int), "one int per field, in order");
  Dcnv2Shape shape;
  std::memcpy(&shape, numbers, sizeof(shape));
  return edgefas::launch_dcnv2(shape, half ? edgefas::Type::kF16 : edgefas::Type::kF32, x, offset, mask, weight, bias,
                               y, nullptr);
}
#endif
}
