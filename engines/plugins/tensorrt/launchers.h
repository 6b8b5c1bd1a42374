#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "dcnv2_fields.h"

// The kernels as the host compiler sees them. launchers.cu is the only file for nvcc: it does not change with
// TensorRT's headers, and the plugins compile under the host compiler's full warnings.

namespace edgefas {

constexpr int32_t kMaxTaps = 64;  // of EdgefasDCNv2's kernel, kh * kw

struct BteCall {
  int32_t batch, channels, height, width;
  float alpha, epsilon;
  bool half, channels_last;
  void const* x;
  void* y;
};

struct Dcnv2Call {
  int32_t batch, channels, height, width, out_channels, out_height, out_width, kernel_h, kernel_w;
  Dcnv2Fields fields;
  bool half;
  void const *x, *offset, *mask, *weight, *bias;
  void* y;
};

cudaError_t launch(BteCall const& call, cudaStream_t stream) noexcept;
cudaError_t launch(Dcnv2Call const& call, cudaStream_t stream) noexcept;

}  // namespace edgefas
