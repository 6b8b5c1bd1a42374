#include "bte_plugin.h"

#include <limits>

#include "launchers.h"
#include "shapes.h"

namespace edgefas {

using nvinfer1::DataType;
using nvinfer1::PluginFieldType;
using nvinfer1::TensorFormat;

std::vector<Field> BtePlugin::table_of(BteFields& fields) {
  static constexpr double kMax = std::numeric_limits<float>::max();
  return {
      {"alpha", PluginFieldType::kFLOAT32, 1, -kMax, kMax, &fields.alpha},
      {"epsilon", PluginFieldType::kFLOAT32, 1, 0, kMax, &fields.epsilon},
  };
}

std::string BtePlugin::check_shapes(std::array<nvinfer1::Dims, kInputs> const& inputs,
                                    nvinfer1::Dims const* output) const {
  return check_bte_shapes(inputs[0], *output);
}

int32_t BtePlugin::getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t input_count, nvinfer1::DimsExprs const*,
                                   int32_t, nvinfer1::DimsExprs* outputs, int32_t output_count,
                                   nvinfer1::IExprBuilder&) noexcept {
  if (!counts_match(input_count, output_count)) {
    return kError;
  }
  if (inputs[0].nbDims != 4) {
    return report(kName, "x has " + std::to_string(inputs[0].nbDims) + " dimensions; it must have 4");
  }
  outputs[0] = inputs[0];
  return kOk;
}

bool BtePlugin::supportsFormatCombination(int32_t position, nvinfer1::DynamicPluginTensorDesc const* tensors,
                                          int32_t input_count, int32_t output_count) noexcept {
  if (input_count != kInputs || output_count != 1 || position < 0 || position > 1) {
    return false;
  }
  auto const& desc = tensors[position].desc;
  if (position == 1) {
    return desc.type == tensors[0].desc.type && desc.format == tensors[0].desc.format;
  }
  if (desc.type == DataType::kFLOAT) {
    return desc.format == TensorFormat::kLINEAR || desc.format == TensorFormat::kHWC;
  }
  if (desc.type == DataType::kHALF) {
    // kHWC8 pads the channels to a multiple of 8, and what lies in the padding must not enter the channel mean.
    bool const unpadded = desc.dims.nbDims == 4 && desc.dims.d[1] > 0 && desc.dims.d[1] % 8 == 0;
    return desc.format == TensorFormat::kLINEAR || (desc.format == TensorFormat::kHWC8 && unpadded);
  }
  return false;
}

int32_t BtePlugin::enqueue(nvinfer1::PluginTensorDesc const* input_descs, nvinfer1::PluginTensorDesc const*,
                           void const* const* inputs, void* const* outputs, void*, cudaStream_t stream) noexcept {
  auto const& desc = input_descs[0];
  auto const size = [&](int32_t axis) { return static_cast<int32_t>(desc.dims.d[axis]); };
  if (size(0) == 0) {
    return kOk;  // an empty batch
  }
  BteCall call{};
  call.batch = size(0);
  call.channels = size(1);
  call.height = size(2);
  call.width = size(3);
  call.alpha = fields_.alpha;
  call.epsilon = fields_.epsilon;
  call.half = desc.type == DataType::kHALF;
  call.channels_last = desc.format != TensorFormat::kLINEAR;
  call.x = inputs[0];
  call.y = outputs[0];
  cudaError_t const status = launch(call, stream);
  return report(kName, status == cudaSuccess ? "" : std::string{"launch failed: "} + cudaGetErrorString(status));
}

}  // namespace edgefas
