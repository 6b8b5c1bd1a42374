#include "shapes.h"

#include <limits>

#include "launchers.h"

namespace edgefas {
namespace {

constexpr int64_t kUnknown = -1;
// The kernels index elements with 32 bits.
constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();

std::string text(Dims const& dims) {
  std::string all;
  for (int32_t i = 0; i < dims.nbDims; ++i) {
    all += (i > 0 ? ", " : "") + (dims.d[i] == kUnknown ? "?" : std::to_string(dims.d[i]));
  }
  return "(" + all + ")";
}

int64_t times(int64_t a, int64_t b) { return a == kUnknown || b == kUnknown ? kUnknown : a * b; }

std::string check_tensor(std::string const& name, Dims const& dims, int32_t rank) {
  if (dims.nbDims != rank) {
    return name + " has shape " + text(dims) + "; it must have " + std::to_string(rank) + " dimensions";
  }
  int64_t elements = 1;
  for (int32_t i = 0; i < rank; ++i) {
    // Only the batch, the first dimension of the activations, may be empty.
    if (dims.d[i] < kUnknown || (dims.d[i] == 0 && (i > 0 || rank != 4))) {
      return name + " has shape " + text(dims) + "; sizes must be positive";
    }
    // Sizes are at most 2^31 - 1 after this test, so the product never overflows.
    elements *= dims.d[i] == kUnknown ? 1 : dims.d[i];
    if (dims.d[i] > kMaxElements || elements > kMaxElements) {
      return name + " has shape " + text(dims) + "; at most " + std::to_string(kMaxElements) + " elements are allowed";
    }
  }
  return "";
}

std::string check_equal(std::string const& name, Dims const& dims, Dims const& wanted, std::string const& meaning) {
  bool same = true;
  for (int32_t i = 0; i < wanted.nbDims; ++i) {
    same = same && (dims.d[i] == wanted.d[i] || dims.d[i] == kUnknown || wanted.d[i] == kUnknown);
  }
  return same ? "" : name + " has shape " + text(dims) + "; it must be " + text(wanted) + " = " + meaning;
}

std::string check_divides(std::string const& field, int32_t divisor, std::string const& what, int64_t size) {
  if (size == kUnknown || size % divisor == 0) {
    return "";
  }
  return "field '" + field + "' is " + std::to_string(divisor) + ", which does not divide the " + std::to_string(size) +
         " " + what;
}

}  // namespace

int64_t output_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  int64_t const room = size + 2 * padding - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

std::string check_bte_shapes(Dims const& x, Dims const& y) {
  for (auto const& error :
       {check_tensor("x", x, 4), check_tensor("y", y, 4), check_equal("y", y, x, "the shape of x")}) {
    if (!error.empty()) {
      return error;
    }
  }
  return "";
}

std::string check_dcnv2_shapes(Dcnv2Fields const& fields, std::array<Dims, 5> const& inputs, Dims const* y) {
  static constexpr std::array<char const*, 5> kNames{"x", "offset", "mask", "weight", "bias"};
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (auto error = check_tensor(kNames[i], inputs[i], i == 4 ? 1 : 4); !error.empty()) {
      return error;
    }
  }
  auto const& [x, offset, mask, weight, bias] = inputs;
  if (weight.d[0] == 0) {
    return "weight has shape " + text(weight) + "; sizes must be positive";
  }
  if (times(weight.d[2], weight.d[3]) > kMaxTaps) {
    return "weight has shape " + text(weight) + "; a kernel of at most " + std::to_string(kMaxTaps) +
           " taps (kh * kw) is allowed";
  }
  int64_t const batch = x.d[0], channels = x.d[1], out_channels = weight.d[0];
  for (auto const& error : {check_divides("group", fields.group, "channels of x", channels),
                            check_divides("group", fields.group, "output channels of weight", out_channels),
                            check_divides("deformable_group", fields.deformable_group, "channels of x", channels)}) {
    if (!error.empty()) {
      return error;
    }
  }
  std::array<int64_t, 2> out{};
  for (int32_t axis = 0; axis < 2; ++axis) {
    int64_t const size = x.d[2 + axis], kernel = weight.d[2 + axis];
    if (size == kUnknown || kernel == kUnknown) {
      out[axis] = kUnknown;
      continue;
    }
    out[axis] = output_size(size, kernel, fields.stride[axis], fields.padding[axis], fields.dilation[axis]);
    if (out[axis] < 1) {
      return "x has shape " + text(x) + "; padded, its " + (axis == 0 ? "height" : "width") +
             " is shorter than the dilated kernel of weight " + text(weight);
    }
  }
  int64_t const taps = times(times(weight.d[2], weight.d[3]), fields.deformable_group);
  int64_t const channels_per_group = channels == kUnknown ? kUnknown : channels / fields.group;
  Dims const offset_shape{4, {batch, times(2, taps), out[0], out[1]}};
  Dims const mask_shape{4, {batch, taps, out[0], out[1]}};
  Dims const weight_shape{4, {out_channels, channels_per_group, weight.d[2], weight.d[3]}};
  Dims const bias_shape{1, {out_channels}};
  for (auto const& error : {check_equal("offset", offset, offset_shape, "N, 2 * deformable_group * kh * kw, Ho, Wo"),
                            check_equal("mask", mask, mask_shape, "N, deformable_group * kh * kw, Ho, Wo"),
                            check_equal("weight", weight, weight_shape, "M, C / group, kh, kw"),
                            check_equal("bias", bias, bias_shape, "M")}) {
    if (!error.empty()) {
      return error;
    }
  }
  if (y == nullptr) {
    return "";
  }
  if (auto error = check_tensor("y", *y, 4); !error.empty()) {
    return error;
  }
  return check_equal("y", *y, Dims{4, {batch, out_channels, out[0], out[1]}}, "N, M, Ho, Wo");
}

}  // namespace edgefas
