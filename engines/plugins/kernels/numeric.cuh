// FP32 and FP16 under one name, 16-byte packs, dynamic shared memory.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

namespace edgefas {

__host__ __device__ inline float to_float(float value) { return value; }
__host__ __device__ inline float to_float(__half value) { return __half2float(value); }

template <typename T>
__host__ __device__ inline T from_float(float value);
template <>
__host__ __device__ inline float from_float<float>(float value) {
  return value;
}
template <>
__host__ __device__ inline __half from_float<__half>(float value) {
  return __float2half_rn(value);
}

// Elements of T in one 16-byte access.
template <typename T>
constexpr int32_t kPackWidth = 16 / static_cast<int32_t>(sizeof(T));

// kWidth neighbours in memory, moved by one access: 1, or kPackWidth<T> where the address is a multiple of 16.
template <typename T, int kWidth>
struct Pack {
  T values[kWidth];
};

template <typename T, int kWidth>
__device__ inline Pack<T, kWidth> load_pack(T const* address) {
  Pack<T, kWidth> pack;
  if constexpr (kWidth == 1) {
    pack.values[0] = *address;
  } else {
    static_assert(sizeof(pack) == sizeof(uint4), "a pack is one element or 16 bytes");
    uint4 const raw = *reinterpret_cast<uint4 const*>(address);
    memcpy(&pack, &raw, sizeof(raw));
  }
  return pack;
}

// To device memory. By the intrinsic: nvcc takes the assignment of a uint4 apart and does not always join it again.
template <typename T, int kWidth>
__device__ inline void store_pack(T* address, Pack<T, kWidth> const& pack) {
  if constexpr (kWidth == 1) {
    *address = pack.values[0];
  } else {
    uint4 raw;
    memcpy(&raw, &pack, sizeof(raw));
    __stwb(reinterpret_cast<uint4*>(address), raw);
  }
}

// To shared memory, 16 bytes.
template <typename T>
__device__ inline void store_shared(T* address, Pack<T, kPackWidth<T>> const& pack) {
  uint4 raw;
  memcpy(&raw, &pack, sizeof(raw));
#ifdef __CUDA_ARCH__
  asm volatile(
      "st.shared.v4.u32 [%0], {%1, %2, %3, %4};\n" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(address))),
      "r"(raw.x), "r"(raw.y), "r"(raw.z), "r"(raw.w)
      : "memory");
#else
  *reinterpret_cast<uint4*>(address) = raw;
#endif
}

// The block's dynamic shared memory; its size is the launch's.
__device__ inline unsigned char* shared_bytes() {
  extern __shared__ __align__(16) unsigned char edgefas_shared_bytes[];
  return edgefas_shared_bytes;
}

__host__ __device__ constexpr int32_t ceil_div(int32_t value, int32_t by) { return (value + by - 1) / by; }
__host__ __device__ constexpr int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
__host__ __device__ constexpr int32_t greatest(int32_t a, int32_t b) { return a < b ? b : a; }

}  // namespace edgefas
