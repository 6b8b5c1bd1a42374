// Between kernels.cu and binding.cpp: raw pointers only. Functions give null, or what went wrong.
#pragma once

#include <cstdint>

namespace edgefas {

// shape: batch, channels, height, width.
char const* bte_on_device(int32_t const (&shape)[4], float alpha, float epsilon, bool half, bool channels_last,
                          void const* x, void* y, void* stream);

// shape: the fields of Dcnv2Shape in their order.
char const* dcnv2_on_device(int32_t const (&shape)[17], bool half, void const* x, void const* offset, void const* mask,
                            void const* weight, void const* bias, void* y, void* stream);

}  // namespace edgefas
