// IEEE binary16 in integers, so that the tests need neither CUDA's headers nor a compiler that knows the type.
#pragma once

#include "cuda_runtime.h"

struct __half {
  uint16_t bits;
};

inline float __half2float(__half value) {
  uint32_t const sign = (value.bits & 0x8000u) << 16;
  uint32_t const exponent = value.bits >> 10 & 0x1Fu;
  uint32_t const fraction = value.bits & 0x3FFu;
  float result;
  if (exponent == 0) {  // zero or subnormal: a multiple of 2^-24
    result = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -result : result;
  }
  uint32_t const word = sign | (exponent == 31 ? 0xFFu << 23 : (exponent + 112) << 23) | fraction << 13;
  std::memcpy(&result, &word, sizeof(word));
  return result;
}

inline __half __float2half_rn(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof(word));
  uint16_t const sign = static_cast<uint16_t>(word >> 16 & 0x8000u);
  uint32_t const magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return {static_cast<uint16_t>(sign | 0x7E00u)};
  if (magnitude >= 0x477FF000u) return {static_cast<uint16_t>(sign | 0x7C00u)};  // from 65520 on
  if (magnitude < 0x38800000u) {  // below 2^-14 the step is 2^-24: adding 1/2 leaves the multiple in the low bits
    float shifted;
    std::memcpy(&shifted, &magnitude, sizeof(magnitude));
    shifted += 0.5f;
    std::memcpy(&word, &shifted, sizeof(word));
    return {static_cast<uint16_t>(sign | (word - 0x3F000000u))};
  }
  uint32_t const rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

inline float shim::half_bits_to_float(uint16_t bits) { return __half2float(__half{bits}); }
