#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace edgefas {

// One field of a plugin: what it is called, what it may be, and where its value lies. A plugin has one table of these,
// which advertises, reads and serialises its fields, so that none of the three can forget one.
struct Field {
  char const* name;
  nvinfer1::PluginFieldType type;  // kINT32 or kFLOAT32
  int32_t length;
  double lowest, highest;
  void* data;  // int32_t[length] or float[length]
};

// Fills the data of `table`. Every field must be there once, with its type, length and range, and no other.
// Returns what is wrong, naming field, value and what is allowed; empty if nothing is.
std::string read_fields(nvinfer1::PluginFieldCollection const* given, std::vector<Field> const& table);

// The fields with their data, for a plan; `with_data` false leaves the data out, for a creator's advertisement.
std::vector<nvinfer1::PluginField> to_plugin_fields(std::vector<Field> const& table, bool with_data);

// "group=2 stride=1,2": equal for equal fields; floats in hexadecimal, so exactly.
std::string describe_fields(std::vector<Field> const& table);

}  // namespace edgefas
