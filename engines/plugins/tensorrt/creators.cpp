#include <array>
#include <exception>

#include "bte_plugin.h"
#include "dcnv2_plugin.h"

namespace edgefas {
namespace {

template <typename P>
class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  Creator() {
    typename P::Fields fields;
    fields_ = to_plugin_fields(P::table_of(fields), false);
    collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
  }

  nvinfer1::AsciiChar const* getPluginName() const noexcept override { return P::kName; }
  nvinfer1::AsciiChar const* getPluginVersion() const noexcept override { return kVersion; }
  nvinfer1::AsciiChar const* getPluginNamespace() const noexcept override { return kNamespace; }
  nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override { return &collection_; }

  // A plan's fields pass the same checks as a network's.
  nvinfer1::IPluginV3* createPlugin(nvinfer1::AsciiChar const*, nvinfer1::PluginFieldCollection const* given,
                                    nvinfer1::TensorRTPhase) noexcept override {
    try {
      typename P::Fields fields;
      std::string const error = read_fields(given, P::table_of(fields));
      return report(P::kName, error) == kOk ? new P(fields) : nullptr;
    } catch (std::exception const& error) {
      report(P::kName, error.what());
      return nullptr;
    }
  }

 private:
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace
}  // namespace edgefas

// Called by IPluginRegistry::loadLibrary, which registers each under its own namespace. The macro of TensorRT's headers
// would register under the empty one, and would tie the library to one major version of TensorRT.
extern "C" nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static edgefas::Creator<edgefas::BtePlugin> bte;
  static edgefas::Creator<edgefas::Dcnv2Plugin> dcnv2;
  static std::array<nvinfer1::IPluginCreatorInterface*, 2> const creators{&bte, &dcnv2};
  count = static_cast<int32_t>(creators.size());
  return creators.data();
}
