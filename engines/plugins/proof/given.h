#pragma once

#include <NvInferRuntime.h>

#include <cstring>
#include <string>
#include <vector>

// One field as a caller gives it. Values are 32 bits wide whatever the type says.
struct Given {
  std::string name;
  nvinfer1::PluginFieldType type;
  std::vector<int32_t> words;
  bool has_data = true;
};

inline Given ints(std::string const& name, std::vector<int32_t> const& values) {
  return {name, nvinfer1::PluginFieldType::kINT32, values};
}

inline Given number(std::string const& name, float value) {
  int32_t word;
  std::memcpy(&word, &value, sizeof word);
  return {name, nvinfer1::PluginFieldType::kFLOAT32, {word}};
}

inline nvinfer1::IPluginV3* create(nvinfer1::IPluginCreatorV3One& creator, std::vector<Given> const& given,
                                   nvinfer1::TensorRTPhase phase) {
  std::vector<nvinfer1::PluginField> fields;
  for (Given const& one : given) {
    void const* data = one.has_data ? one.words.data() : nullptr;
    fields.emplace_back(one.name.c_str(), data, one.type, static_cast<int32_t>(one.words.size()));
  }
  nvinfer1::PluginFieldCollection const collection{static_cast<int32_t>(fields.size()), fields.data()};
  return creator.createPlugin("proof", &collection, phase);
}

// A plugin's fields as it would write them into a plan.
inline std::vector<Given> serialized(nvinfer1::IPluginV3* plugin) {
  auto* runtime = static_cast<nvinfer1::IPluginV3OneRuntime*>(
      plugin->getCapabilityInterface(nvinfer1::PluginCapabilityType::kRUNTIME));
  nvinfer1::PluginFieldCollection const* fields = runtime->getFieldsToSerialize();
  std::vector<Given> all;
  for (int32_t i = 0; i < fields->nbFields; ++i) {
    auto const& field = fields->fields[i];
    Given one{field.name, field.type, std::vector<int32_t>(field.length)};
    std::memcpy(one.words.data(), field.data, field.length * sizeof(int32_t));
    all.push_back(one);
  }
  return all;
}

inline bool operator==(Given const& a, Given const& b) {
  return a.name == b.name && a.type == b.type && a.words == b.words;
}
