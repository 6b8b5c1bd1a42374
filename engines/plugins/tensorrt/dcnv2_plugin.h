#pragma once

#include "dcnv2_fields.h"
#include "plugin.h"

namespace edgefas {

// Modulated deformable convolution; inputs x, offset, mask, weight, bias.
class Dcnv2Plugin final : public Plugin<Dcnv2Plugin> {
 public:
  using Fields = Dcnv2Fields;
  static constexpr char const* kName = "EdgefasDCNv2";
  static constexpr int32_t kInputs = 5;

  explicit Dcnv2Plugin(Dcnv2Fields const& fields) : fields_{fields} {}
  static std::vector<Field> table_of(Dcnv2Fields& fields);
  std::vector<Field> table() { return table_of(fields_); }
  Dcnv2Fields const& fields() const { return fields_; }
  std::string check_shapes(std::array<nvinfer1::Dims, kInputs> const& inputs, nvinfer1::Dims const* output) const;

  int32_t getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t input_count, nvinfer1::DimsExprs const*, int32_t,
                          nvinfer1::DimsExprs* outputs, int32_t output_count,
                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(int32_t position, nvinfer1::DynamicPluginTensorDesc const* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override;
  int32_t enqueue(nvinfer1::PluginTensorDesc const* input_descs, nvinfer1::PluginTensorDesc const* output_descs,
                  void const* const* inputs, void* const* outputs, void* workspace,
                  cudaStream_t stream) noexcept override;

 private:
  Dcnv2Fields fields_;
};

}  // namespace edgefas
