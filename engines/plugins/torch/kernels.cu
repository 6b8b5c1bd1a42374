// The launchers for binding.cpp: compiled by nvcc, which then need not read PyTorch's headers.
#include "../kernels/launch.cuh"
#include "kernels.h"

namespace edgefas {
namespace {

char const* text(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

Type type_of(bool half) { return half ? Type::kF16 : Type::kF32; }

}  // namespace

char const* bte_on_device(int32_t const (&shape)[4], float alpha, float epsilon, bool half, bool channels_last,
                          void const* x, void* y, void* stream) {
  return text(launch_bte({shape[0], shape[1], shape[2], shape[3]}, alpha, epsilon, type_of(half),
                         channels_last ? Layout::kChannelsLast : Layout::kLinear, x, y,
                         static_cast<cudaStream_t>(stream)));
}

char const* dcnv2_on_device(int32_t const (&s)[17], bool half, void const* x, void const* offset, void const* mask,
                            void const* weight, void const* bias, void* y, void* stream) {
  Dcnv2Shape const shape{s[0], s[1],  s[2],  s[3],  s[4],  s[5],  s[6],  s[7], s[8],
                         s[9], s[10], s[11], s[12], s[13], s[14], s[15], s[16]};
  return text(launch_dcnv2(shape, type_of(half), x, offset, mask, weight, bias, y, static_cast<cudaStream_t>(stream)));
}

}  // namespace edgefas
