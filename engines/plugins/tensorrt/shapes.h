#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <cstdint>
#include <string>

#include "dcnv2_fields.h"

namespace edgefas {

// Shapes as TensorRT gives them; -1 stands for a size that is not known yet and fits everything.
using nvinfer1::Dims;

// Positions of a dilated kernel along one axis; below 1 where the padded input is shorter than the kernel.
int64_t output_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation);

// What is wrong with the shapes of one call, naming tensor, shape and what it must be; empty if nothing is.
std::string check_bte_shapes(Dims const& x, Dims const& y);

// `inputs` are x, offset, mask, weight, bias; `y` may be null while the output is not known.
std::string check_dcnv2_shapes(Dcnv2Fields const& fields, std::array<Dims, 5> const& inputs, Dims const* y);

}  // namespace edgefas
