// Where DCNv2 reads: sampling positions in FP32, once per output pixel and tap, for all channels that share them.
#pragma once

#include <cmath>

#include "numeric.cuh"

namespace edgefas {

struct Dcnv2Shape {
  int32_t batch, channels, height, width, out_channels, out_height, out_width, kernel_h, kernel_w, stride_h, stride_w,
      padding_h, padding_w, dilation_h, dilation_w, groups, deformable_groups;
};

// A 2x2 patch inside one channel's plane, and what each of its pixels counts for, mask included.
struct Sample {
  float weights[4];  // row by row
  int32_t start;     // of the patch, from the first element of channel 0 of image 0
};

// First pixel of the two along one axis, and their bilinear weights max(0, 1 - distance): those of pixels outside the
// map vanish with the sample itself, so nothing is read there. NaN stays NaN: a broken offset must not look like zero.
__host__ __device__ inline int32_t bilinear(float at, int32_t size, float (&weights)[2]) {
  float const last = static_cast<float>(greatest(size - 2, 0));
  float const first = fminf(fmaxf(floorf(at), 0.0f), last);
  for (int32_t i = 0; i < 2; ++i) {
    float const weight = 1.0f - fabsf(at - (first + static_cast<float>(i)));
    weights[i] = weight < 0.0f ? 0.0f : weight;
  }
  if (size == 1) weights[1] *= 0.0f;  // there is no second pixel
  return static_cast<int32_t>(first);
}

__host__ __device__ inline Sample sample_at(float y, float x, float mask, int32_t height, int32_t width) {
  float rows[2];
  float columns[2];
  int32_t const top = bilinear(y, height, rows);
  int32_t const left = bilinear(x, width, columns);
  Sample sample;
  for (int32_t i = 0; i < 4; ++i) sample.weights[i] = mask * rows[i / 2] * columns[i % 2];
  sample.start = top * width + left;
  return sample;
}

// Distances inside a patch; a map of one row or column repeats it, with weight 0.
struct PatchSteps {
  int32_t down, right;
};
__host__ __device__ inline PatchSteps patch_steps(Dcnv2Shape const& shape) {
  return {shape.height > 1 ? shape.width : 0, shape.width > 1 ? 1 : 0};
}

// The samples of kPixels output pixels in shared memory: [taps][kPixels], weights apart from starts so that both are
// read by aligned accesses.
template <int kPixels>
struct SampleTable {
  float4* weights;
  int32_t* starts;

  static constexpr int32_t bytes(int32_t taps) {
    return taps * kPixels * static_cast<int32_t>(sizeof(float4) + sizeof(int32_t));
  }

  __device__ static SampleTable at(unsigned char* shared, int32_t taps) {
    float4* weights = reinterpret_cast<float4*>(shared);
    return {weights, reinterpret_cast<int32_t*>(weights + taps * kPixels)};
  }

  // Fills the table for one deformable group; pixels are counted over the whole batch, and those past its end get
  // weight 0. All threads call it; it ends with a barrier.
  template <typename T>
  __device__ void fill(Dcnv2Shape const& shape, T const* offset, T const* mask, int32_t first_pixel, int32_t group) {
    int32_t const taps = shape.kernel_h * shape.kernel_w;
    int32_t const plane = shape.out_height * shape.out_width;
    for (int32_t i = threadIdx.x; i < taps * kPixels; i += blockDim.x) {
      int32_t const tap = i / kPixels;
      int32_t const pixel = first_pixel + i % kPixels;
      Sample sample = {};
      if (pixel < shape.batch * plane) {
        int32_t const image = pixel / plane;
        int32_t const within = pixel % plane;
        int32_t const channel = (image * shape.deformable_groups + group) * taps + tap;
        int32_t const y = within / shape.out_width * shape.stride_h - shape.padding_h;
        int32_t const x = within % shape.out_width * shape.stride_w - shape.padding_w;
        int32_t const tap_y = tap / shape.kernel_w * shape.dilation_h;
        int32_t const tap_x = tap % shape.kernel_w * shape.dilation_w;
        float const dy = to_float(offset[2 * channel * plane + within]);
        float const dx = to_float(offset[(2 * channel + 1) * plane + within]);
        sample = sample_at(static_cast<float>(y + tap_y) + dy, static_cast<float>(x + tap_x) + dx,
                           to_float(mask[channel * plane + within]), shape.height, shape.width);
        sample.start += image * shape.channels * shape.height * shape.width;
      }
      weights[i] = make_float4(sample.weights[0], sample.weights[1], sample.weights[2], sample.weights[3]);
      starts[i] = sample.start;
    }
    __syncthreads();
  }
};

// The four pixels of a patch as they are in memory; `weigh` makes them a sample.
template <typename T>
struct Patch {
  T values[4];

  __device__ static Patch load(T const* start, PatchSteps steps) {
    return {{start[0], start[steps.right], start[steps.down], start[steps.down + steps.right]}};
  }
  __device__ float weigh(float4 weights) const {
    return to_float(values[0]) * weights.x + to_float(values[1]) * weights.y + to_float(values[2]) * weights.z +
           to_float(values[3]) * weights.w;
  }
};

}  // namespace edgefas
