#pragma once

#include <NvInfer.h>

#include <array>
#include <exception>
#include <string>
#include <vector>

#include "fields.h"
#include "log.h"

namespace edgefas {

inline constexpr char const* kNamespace = "edgefas";
inline constexpr char const* kVersion = "1";
inline constexpr int32_t kOk = 0, kError = 1;

// Logs "NAME: error" unless it is empty; gives the code TensorRT expects.
inline int32_t report(char const* plugin, std::string const& error) noexcept {
  if (error.empty()) {
    return kOk;
  }
  log_error(std::string{plugin} + ": " + error);
  return kError;
}

// What both plugins have in common: one output, no workspace, no per-context resources, fields from one table.
// Derived gives kName, kInputs and `std::vector<Field> table()`, whose entries point into the object itself.
template <typename Derived>
class Plugin : public nvinfer1::IPluginV3,
               public nvinfer1::IPluginV3OneCore,
               public nvinfer1::IPluginV3OneBuild,
               public nvinfer1::IPluginV3OneRuntime {
 public:
  nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override {
    switch (type) {
      case nvinfer1::PluginCapabilityType::kCORE:
        return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case nvinfer1::PluginCapabilityType::kBUILD:
        return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case nvinfer1::PluginCapabilityType::kRUNTIME:
        return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }

  nvinfer1::IPluginV3* clone() noexcept override {
    try {
      return new Derived(self().fields());
    } catch (std::exception const& error) {
      report(Derived::kName, error.what());
      return nullptr;
    }
  }

  nvinfer1::AsciiChar const* getPluginName() const noexcept override { return Derived::kName; }
  nvinfer1::AsciiChar const* getPluginVersion() const noexcept override { return kVersion; }
  nvinfer1::AsciiChar const* getPluginNamespace() const noexcept override { return kNamespace; }
  int32_t getNbOutputs() const noexcept override { return 1; }

  int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t output_count, nvinfer1::DataType const* inputs,
                             int32_t input_count) const noexcept override {
    if (!counts_match(input_count, output_count)) {
      return kError;
    }
    outputs[0] = inputs[0];
    return kOk;
  }

  int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t input_count,
                          nvinfer1::DynamicPluginTensorDesc const* outputs, int32_t output_count) noexcept override {
    if (!counts_match(input_count, output_count)) {
      return kError;
    }
    // The network's own shapes: a profile's minima and maxima need not belong to one and the same call.
    std::array<nvinfer1::Dims, Derived::kInputs> shapes;
    for (size_t i = 0; i < shapes.size(); ++i) {
      shapes[i] = inputs[i].desc.dims;
    }
    return report(Derived::kName, self().check_shapes(shapes, &outputs[0].desc.dims));
  }

  int32_t onShapeChange(nvinfer1::PluginTensorDesc const* inputs, int32_t input_count,
                        nvinfer1::PluginTensorDesc const* outputs, int32_t output_count) noexcept override {
    if (!counts_match(input_count, output_count)) {
      return kError;
    }
    std::array<nvinfer1::Dims, Derived::kInputs> shapes;
    for (size_t i = 0; i < shapes.size(); ++i) {
      shapes[i] = inputs[i].dims;
    }
    return report(Derived::kName, self().check_shapes(shapes, &outputs[0].dims));
  }

  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override { return clone(); }

  nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override {
    serialized_ = to_plugin_fields(self().table(), true);
    collection_ = {static_cast<int32_t>(serialized_.size()), serialized_.data()};
    return &collection_;
  }

  // Shapes, types and formats are in TensorRT's own part of the key.
  char const* getTimingCacheID() noexcept override {
    timing_cache_id_ = describe_fields(self().table());
    return timing_cache_id_.c_str();
  }

 protected:
  static bool counts_match(int32_t input_count, int32_t output_count) noexcept {
    if (input_count == Derived::kInputs && output_count == 1) {
      return true;
    }
    report(Derived::kName, std::to_string(input_count) + " inputs and " + std::to_string(output_count) +
                               " outputs were given; it has " + std::to_string(Derived::kInputs) + " and 1");
    return false;
  }

 private:
  Derived& self() noexcept { return static_cast<Derived&>(*this); }

  // TensorRT reads these after the call that filled them.
  std::vector<nvinfer1::PluginField> serialized_;
  nvinfer1::PluginFieldCollection collection_{};
  std::string timing_cache_id_;
};

}  // namespace edgefas
