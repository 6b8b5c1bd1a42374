#include <limits>

#include "subject.h"

namespace {

using nvinfer1::DataType;
using nvinfer1::TensorFormat;

int32_t bits(float value) { return number("", value).words[0]; }

constexpr int32_t kSizes = 2;
using Pair = std::vector<int32_t>;

std::vector<Given> dcnv2_fields(int32_t group, int32_t deformable_group, Pair const& stride, Pair const& padding,
                                Pair const& dilation) {
  return {ints("group", {group}), ints("deformable_group", {deformable_group}), ints("stride", stride),
          ints("padding", padding), ints("dilation", dilation)};
}

// Counts the places of the kernel one by one, as the definition of a convolution says.
int64_t count_places(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  int64_t places = 0;
  for (int64_t first = -padding; first + dilation * (kernel - 1) < size + padding; first += stride) {
    ++places;
  }
  return places;
}

Call dcnv2_call(Shape const& x, Shape const& weight, int32_t group, int32_t deformable_group, Pair const& stride,
                Pair const& padding, Pair const& dilation) {
  int64_t out[kSizes];
  for (int32_t axis = 0; axis < kSizes; ++axis) {
    out[axis] = count_places(x[2 + axis], weight[2 + axis], stride[axis], padding[axis], dilation[axis]);
  }
  int64_t const taps = deformable_group * weight[2] * weight[3];
  return {dcnv2_fields(group, deformable_group, stride, padding, dilation),
          {x, {x[0], 2 * taps, out[0], out[1]}, {x[0], taps, out[0], out[1]}, weight, {weight[0]}},
          {x[0], weight[0], out[0], out[1]}};
}

BadCall with_input(Call call, size_t input, Shape const& shape, std::string const& named) {
  call.inputs[input] = shape;
  return {call, named};
}

std::vector<FormatCase> all_formats(Shape const& shape, std::vector<std::pair<DataType, TensorFormat>> const& allowed) {
  std::vector<FormatCase> cases;
  for (auto type : {DataType::kFLOAT, DataType::kHALF, DataType::kINT8, DataType::kINT32, DataType::kBOOL,
                    DataType::kUINT8, DataType::kFP8, DataType::kBF16, DataType::kINT64}) {
    for (int32_t format = 0; format <= static_cast<int32_t>(TensorFormat::kDHWC); ++format) {
      FormatCase one{type, static_cast<TensorFormat>(format), shape, false};
      for (auto const& [allowed_type, allowed_format] : allowed) {
        one.supported = one.supported || (one.type == allowed_type && one.format == allowed_format);
      }
      cases.push_back(one);
    }
  }
  return cases;
}

}  // namespace

Subject bte_subject() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Subject subject;
  subject.name = "EdgefasBTE";
  subject.fields = {number("alpha", -1.5F), number("epsilon", 1e-6F)};
  subject.bad_values = {
      {"alpha", {bits(kInfinity)}}, {"alpha", {bits(-kInfinity)}}, {"alpha", {bits(kNan)}},
      {"epsilon", {bits(-1e-9F)}},  {"epsilon", {bits(kNan)}},     {"epsilon", {bits(kInfinity)}},
  };
  Shape const shape{3, 24, 29, 37};
  subject.calls = {{subject.fields, {shape}, shape}, {subject.fields, {{1, 3, 1, 1}}, {1, 3, 1, 1}}};
  subject.bad_calls = {
      {{subject.fields, {{3, 24, 29}}, {3, 24, 29}}, "x"},
      {{subject.fields, {{3, 24, 29, 0}}, {3, 24, 29, 0}}, "x"},
      {{subject.fields, {{1, 2048, 1024, 1024}}, {1, 2048, 1024, 1024}}, "x"},
      {{subject.fields, {shape}, {3, 24, 37, 29}}, "y"},
  };
  std::vector<std::pair<DataType, TensorFormat>> allowed{{DataType::kFLOAT, TensorFormat::kLINEAR},
                                                         {DataType::kFLOAT, TensorFormat::kHWC},
                                                         {DataType::kHALF, TensorFormat::kLINEAR}};
  for (auto const& one : all_formats({3, 20, 29, 37}, allowed)) {
    subject.formats.push_back(one);
  }
  allowed.emplace_back(DataType::kHALF, TensorFormat::kHWC8);
  for (auto const& one : all_formats(shape, allowed)) {
    subject.formats.push_back(one);
  }
  return subject;
}

Subject dcnv2_subject() {
  Subject subject;
  subject.name = "EdgefasDCNv2";
  subject.fields = dcnv2_fields(2, 4, {2, 1}, {0, 3}, {1, 2});
  for (int32_t value : {0, -1, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()}) {
    subject.bad_values.push_back({"group", {value}});
    subject.bad_values.push_back({"deformable_group", {value}});
    for (Pair const& pair : {Pair{value, 1}, Pair{1, value}}) {
      subject.bad_values.push_back({"stride", pair});
      subject.bad_values.push_back({"dilation", pair});
      if (value != 0) {
        subject.bad_values.push_back({"padding", pair});
      }
    }
  }
  Shape const x{3, 24, 17, 29}, weight{16, 24, 3, 3};
  subject.calls = {
      dcnv2_call(x, weight, 1, 1, {1, 1}, {1, 1}, {1, 1}),
      dcnv2_call(x, weight, 1, 1, {2, 1}, {1, 1}, {1, 1}),
      dcnv2_call(x, weight, 1, 1, {1, 2}, {1, 1}, {1, 1}),
      dcnv2_call(x, weight, 1, 2, {1, 1}, {0, 2}, {1, 1}),
      dcnv2_call(x, weight, 1, 4, {1, 1}, {0, 0}, {1, 3}),
      dcnv2_call(x, {16, 12, 5, 2}, 2, 4, {3, 2}, {2, 0}, {2, 3}),
      dcnv2_call(x, {24, 1, 3, 3}, 24, 1, {2, 2}, {1, 1}, {2, 2}),
      dcnv2_call({1, 8, 7, 7}, {8, 8, 7, 7}, 1, 8, {1, 1}, {0, 0}, {1, 1}),
      dcnv2_call({1, 8, 17, 29}, {8, 8, 4, 16}, 1, 1, {1, 1}, {0, 0}, {1, 1}),
      dcnv2_call({1, 4, 1, 9}, {6, 4, 1, 1}, 1, 1, {5, 4}, {0, 0}, {1, 1}),
  };
  Call const good = dcnv2_call(x, weight, 1, 2, {2, 1}, {1, 0}, {1, 2});
  subject.bad_calls = {
      with_input(good, 0, {3, 24, 17}, "x"),
      with_input(good, 0, {3, 25, 17, 29}, "deformable_group"),
      with_input(good, 1, {3, 36, 27, 9}, "offset"),
      with_input(good, 1, {3, 18, 9, 25}, "offset"),
      with_input(good, 1, {2, 36, 9, 25}, "offset"),
      with_input(good, 2, {3, 36, 9, 25}, "mask"),
      with_input(good, 3, {16, 12, 3, 3}, "weight"),
      with_input(good, 3, {0, 24, 3, 3}, "weight"),
      with_input(good, 4, {17}, "bias"),
      with_input(good, 4, {16, 1}, "bias"),
      with_input(dcnv2_call({1, 8, 5, 9}, {8, 8, 3, 3}, 1, 1, {1, 1}, {0, 0}, {1, 1}), 3, {8, 8, 7, 3}, "x"),
      with_input(dcnv2_call(x, {16, 12, 3, 3}, 2, 1, {1, 1}, {1, 1}, {1, 1}), 3, {15, 12, 3, 3}, "group"),
      with_input(dcnv2_call({1, 9, 7, 7}, {4, 4, 3, 3}, 2, 1, {1, 1}, {1, 1}, {1, 1}), 4, {4}, "group"),
  };
  subject.bad_calls.push_back({dcnv2_call({1, 8, 17, 29}, {8, 8, 5, 13}, 1, 1, {1, 1}, {0, 0}, {1, 1}), "weight"});
  BadCall swapped{good, "y"};
  std::swap(swapped.call.output[2], swapped.call.output[3]);
  subject.bad_calls.push_back(swapped);
  subject.formats =
      all_formats(x, {{DataType::kFLOAT, TensorFormat::kLINEAR}, {DataType::kHALF, TensorFormat::kLINEAR}});
  return subject;
}
