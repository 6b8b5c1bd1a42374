// As much of CUDA's runtime as the kernels use, on the CPU: found before NVIDIA's header of this name, so that kernels
// and launchers compile unmodified.
//
// A CUDA thread is a fibre, blocks run one after another, a barrier gives way to the next fibre. So a missing barrier
// shows: a thread meets shared memory that the others have not written, which starts as NaN. Memory accesses cost
// nothing here, and coalescing, bank conflicts and races that a barrier's order hides do not show.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ thread_local

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline void __stwb(uint4* to, uint4 value) { *to = value; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorLaunchFailure = 719
};
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
using cudaStream_t = void*;

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace edgefas {
inline thread_local __align__(16) unsigned char edgefas_shared_bytes[96 * 1024];
}

namespace shim {

constexpr size_t kFreeShared = 48 * 1024;
constexpr size_t kStack = 32 * 1024;
constexpr unsigned char kPoison = 0xFF;  // NaN as float and as half

// What a test sets: processors of the pretended device, and whether the last thread goes first.
inline int processors = 8;
inline bool last_first = false;
// What a test reads.
inline int launches = 0;
inline size_t shared_bytes = 0;
inline std::map<void const*, size_t> granted;  // dynamic shared memory that was asked for, by kernel

struct MmaOperands {
  float* d;
  uint32_t const* a;
  uint32_t const* b;
};

struct AsyncCopy {
  void* to;
  void const* from;
  size_t bytes, zeros;
  bool committed;
};

enum class State { kReady, kAtBarrier, kInMma, kDone };

struct Fibre {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  State state;
  MmaOperands operands;
  std::vector<AsyncCopy> copies;
};

inline std::vector<std::unique_ptr<Fibre>> fibres;
inline ucontext_t scheduler;
inline unsigned current, threads;
inline void (*body)(void*);
inline void* body_argument;

inline void wait(State state) {
  Fibre& self = *fibres[current];
  self.state = state;
  swapcontext(&self.context, &scheduler);
}

inline void enter() {
  body(body_argument);
  wait(State::kDone);
}

inline float half_bits_to_float(uint16_t bits);

// The whole warp's product, by the tables of the PTX ISA for mma.m16n8k16 with .f16 operands: group = lane / 4 and
// t = lane % 4; register i of A holds row group + 8 * (i odd), k = 2t + 8 * (i >= 2) and the next; register i of B
// holds k = 2t + 8i and the next of column group; d holds rows group and group + 8, columns 2t and 2t + 1.
inline void multiply_warp(unsigned first) {
  float a[16][16], b[16][8];
  auto const half = [](uint32_t word, int which) {
    return half_bits_to_float(static_cast<uint16_t>(word >> (16 * which)));
  };
  for (int lane = 0; lane < 32; ++lane) {
    MmaOperands const& o = fibres[first + lane]->operands;
    int const group = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      for (int e = 0; e < 2; ++e) a[group + 8 * (i % 2)][2 * t + 8 * (i / 2) + e] = half(o.a[i], e);
    }
    for (int i = 0; i < 2; ++i) {
      for (int e = 0; e < 2; ++e) b[2 * t + 8 * i + e][group] = half(o.b[i], e);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a[lane / 4 + 8 * (i / 2)][k] * b[k][2 * (lane % 4) + i % 2];
      fibres[first + lane]->operands.d[i] += sum;
    }
    fibres[first + lane]->state = State::kReady;
  }
}

// Lets whoever waits for all that are there go on.
inline bool release() {
  bool released = false;
  unsigned done = 0, waiting = 0;
  for (unsigned i = 0; i < threads; ++i) {
    done += fibres[i]->state == State::kDone;
    waiting += fibres[i]->state == State::kAtBarrier;
  }
  if (waiting > 0 && waiting + done == threads) {
    for (unsigned i = 0; i < threads; ++i) {
      if (fibres[i]->state == State::kAtBarrier) fibres[i]->state = State::kReady;
    }
    released = true;
  }
  for (unsigned warp = 0; warp + 32 <= threads; warp += 32) {
    bool const all = std::all_of(fibres.begin() + warp, fibres.begin() + warp + 32,
                                 [](auto const& fibre) { return fibre->state == State::kInMma; });
    if (all) multiply_warp(warp);
    released |= all;
  }
  return released;
}

inline void start(Fibre& fibre) {
  getcontext(&fibre.context);
  fibre.context.uc_stack = {fibre.stack.get(), 0, kStack};
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, enter, 0);
  fibre.state = State::kReady;
  fibre.copies.clear();
}

inline cudaError_t run_block() {
  std::memset(edgefas::edgefas_shared_bytes, kPoison, sizeof(edgefas::edgefas_shared_bytes));
  for (unsigned i = 0; i < threads; ++i) start(*fibres[i]);
  do {
    for (unsigned i = 0; i < threads; ++i) {
      current = last_first ? threads - 1 - i : i;
      if (fibres[current]->state != State::kReady) continue;
      threadIdx = dim3(current % blockDim.x, current / blockDim.x % blockDim.y, current / (blockDim.x * blockDim.y));
      swapcontext(&scheduler, &fibres[current]->context);
    }
  } while (release());
  bool const ended = std::all_of(fibres.begin(), fibres.begin() + threads,
                                 [](auto const& fibre) { return fibre->state == State::kDone; });
  bool const inside = std::all_of(edgefas::edgefas_shared_bytes + shared_bytes, std::end(edgefas::edgefas_shared_bytes),
                                  [](unsigned char byte) { return byte == kPoison; });
  return ended && inside ? cudaSuccess : cudaErrorLaunchFailure;  // a barrier not all reached, or shared memory overrun
}

}  // namespace shim

inline void __syncthreads() { shim::wait(shim::State::kAtBarrier); }

inline void host_mma_m16n8k16(float (&d)[4], uint32_t const (&a)[4], uint32_t const (&b)[2]) {
  shim::fibres[shim::current]->operands = {d, a, b};
  shim::wait(shim::State::kInMma);
}

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(cudaLaunchConfig_t const* config, void (*kernel)(Parameters...), Arguments&&... given) {
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  shim::threads = blockDim.x * blockDim.y * blockDim.z;
  size_t const allowed = std::max(shim::kFreeShared, shim::granted[reinterpret_cast<void const*>(kernel)]);
  bool const legal = shim::threads >= 1 && shim::threads <= 1024 && gridDim.x >= 1 && gridDim.x <= INT32_MAX &&
                     gridDim.y >= 1 && gridDim.y <= 65535 && gridDim.z >= 1 && gridDim.z <= 65535 &&
                     config->dynamicSmemBytes <= allowed;
  if (!legal) return cudaErrorInvalidConfiguration;
  ++shim::launches;
  shim::shared_bytes = config->dynamicSmemBytes;
  while (shim::fibres.size() < shim::threads) shim::fibres.push_back(std::make_unique<shim::Fibre>());
  auto call = [&] { kernel(given...); };
  shim::body = [](void* argument) { (*static_cast<decltype(call)*>(argument))(); };
  shim::body_argument = &call;
  cudaError_t error = cudaSuccess;
  for (uint64_t i = 0; i < uint64_t{gridDim.x} * gridDim.y * gridDim.z && error == cudaSuccess; ++i) {
    blockIdx = dim3(static_cast<unsigned>(i % gridDim.x), static_cast<unsigned>(i / gridDim.x % gridDim.y),
                    static_cast<unsigned>(i / gridDim.x / gridDim.y));
    error = shim::run_block();
  }
  shim::body_argument = nullptr;
  return error;
}

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > sizeof(edgefas::edgefas_shared_bytes)) return cudaErrorInvalidValue;
  shim::granted[reinterpret_cast<void const*>(kernel)] = static_cast<size_t>(bytes);
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = shim::processors;
  return cudaSuccess;
}
