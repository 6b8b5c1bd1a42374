#include "dcnv2_plugin.h"

#include "launchers.h"
#include "shapes.h"

namespace edgefas {
namespace {

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;
using nvinfer1::Dims;
using nvinfer1::DimsExprs;
using nvinfer1::IDimensionExpr;
using nvinfer1::IExprBuilder;
using nvinfer1::PluginFieldType;

constexpr int32_t kMaxGroups = 1 << 20;
// Keeps positions well inside 32 bits.
constexpr int32_t kMaxStep = 4096;

// What is constant at build time; the rest is -1.
Dims known(DimsExprs const& exprs) {
  Dims dims{};
  dims.nbDims = exprs.nbDims;
  for (int32_t i = 0; i < exprs.nbDims; ++i) {
    dims.d[i] = exprs.d[i]->isConstant() ? exprs.d[i]->getConstantValue() : -1;
  }
  return dims;
}

// floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1
IDimensionExpr const* output_size(IExprBuilder& build, IDimensionExpr const& size, IDimensionExpr const& kernel,
                                  int32_t stride, int32_t padding, int32_t dilation) {
  auto const* reach = build.operation(DimensionOperation::kPROD, *build.constant(dilation),
                                      *build.operation(DimensionOperation::kSUB, kernel, *build.constant(1)));
  auto const* padded = build.operation(DimensionOperation::kSUM, size, *build.constant(2 * padding - 1));
  auto const* room = build.operation(DimensionOperation::kSUB, *padded, *reach);
  auto const* steps = build.operation(DimensionOperation::kFLOOR_DIV, *room, *build.constant(stride));
  return build.operation(DimensionOperation::kSUM, *steps, *build.constant(1));
}

}  // namespace

std::vector<Field> Dcnv2Plugin::table_of(Dcnv2Fields& fields) {
  return {
      {"group", PluginFieldType::kINT32, 1, 1, kMaxGroups, &fields.group},
      {"deformable_group", PluginFieldType::kINT32, 1, 1, kMaxGroups, &fields.deformable_group},
      {"stride", PluginFieldType::kINT32, 2, 1, kMaxStep, fields.stride.data()},
      {"padding", PluginFieldType::kINT32, 2, 0, kMaxStep, fields.padding.data()},
      {"dilation", PluginFieldType::kINT32, 2, 1, kMaxStep, fields.dilation.data()},
  };
}

std::string Dcnv2Plugin::check_shapes(std::array<Dims, kInputs> const& inputs, Dims const* output) const {
  return check_dcnv2_shapes(fields_, inputs, output);
}

int32_t Dcnv2Plugin::getOutputShapes(DimsExprs const* inputs, int32_t input_count, DimsExprs const*, int32_t,
                                     DimsExprs* outputs, int32_t output_count, IExprBuilder& builder) noexcept {
  if (!counts_match(input_count, output_count)) {
    return kError;
  }
  std::array<Dims, kInputs> shapes;
  for (int32_t i = 0; i < kInputs; ++i) {
    shapes[i] = known(inputs[i]);
  }
  if (report(kName, check_shapes(shapes, nullptr)) != kOk) {
    return kError;
  }
  auto const &x = inputs[0], &weight = inputs[3];
  outputs[0].nbDims = 4;
  outputs[0].d[0] = x.d[0];
  outputs[0].d[1] = weight.d[0];
  for (int32_t axis = 0; axis < 2; ++axis) {
    outputs[0].d[2 + axis] = output_size(builder, *x.d[2 + axis], *weight.d[2 + axis], fields_.stride[axis],
                                         fields_.padding[axis], fields_.dilation[axis]);
  }
  return kOk;
}

bool Dcnv2Plugin::supportsFormatCombination(int32_t position, nvinfer1::DynamicPluginTensorDesc const* tensors,
                                            int32_t input_count, int32_t output_count) noexcept {
  if (input_count != kInputs || output_count != 1 || position < 0 || position > kInputs) {
    return false;
  }
  auto const& desc = tensors[position].desc;
  bool const float_or_half = desc.type == DataType::kFLOAT || desc.type == DataType::kHALF;
  return float_or_half && desc.type == tensors[0].desc.type && desc.format == nvinfer1::TensorFormat::kLINEAR;
}

int32_t Dcnv2Plugin::enqueue(nvinfer1::PluginTensorDesc const* input_descs,
                             nvinfer1::PluginTensorDesc const* output_descs, void const* const* inputs,
                             void* const* outputs, void*, cudaStream_t stream) noexcept {
  auto const size = [](nvinfer1::PluginTensorDesc const& desc, int32_t axis) {
    return static_cast<int32_t>(desc.dims.d[axis]);
  };
  auto const &x = input_descs[0], &weight = input_descs[3], &y = output_descs[0];
  if (size(x, 0) == 0) {
    return kOk;  // an empty batch
  }
  Dcnv2Call call{};
  call.batch = size(x, 0);
  call.channels = size(x, 1);
  call.height = size(x, 2);
  call.width = size(x, 3);
  call.out_channels = size(weight, 0);
  call.kernel_h = size(weight, 2);
  call.kernel_w = size(weight, 3);
  call.out_height = size(y, 2);
  call.out_width = size(y, 3);
  call.fields = fields_;
  call.half = x.type == DataType::kHALF;
  call.x = inputs[0];
  call.offset = inputs[1];
  call.mask = inputs[2];
  call.weight = inputs[3];
  call.bias = inputs[4];
  call.y = outputs[0];
  cudaError_t const status = launch(call, stream);
  return report(kName, status == cudaSuccess ? "" : std::string{"launch failed: "} + cudaGetErrorString(status));
}

}  // namespace edgefas
