#include "fields.h"

#include <cstdio>
#include <cstring>

namespace edgefas {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

std::string type_name(PluginFieldType type) {
  switch (type) {
    case PluginFieldType::kINT32:
      return "INT32";
    case PluginFieldType::kFLOAT32:
      return "FLOAT32";
    case PluginFieldType::kFLOAT64:
      return "FLOAT64";
    case PluginFieldType::kINT64:
      return "INT64";
    case PluginFieldType::kCHAR:
      return "CHAR";
    default:
      return "type number " + std::to_string(static_cast<int32_t>(type));
  }
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string names(std::vector<Field> const& table) {
  std::string all;
  for (Field const& field : table) {
    all += (all.empty() ? "" : ", ") + std::string{field.name};
  }
  return all;
}

// The caller's data need not be aligned.
template <typename T>
T value_at(void const* data, int32_t index) {
  T value;
  std::memcpy(&value, static_cast<char const*>(data) + index * sizeof(T), sizeof(T));
  return value;
}

// int32 and float are both exact as double.
double value_at(void const* data, PluginFieldType type, int32_t index) {
  return type == PluginFieldType::kINT32 ? value_at<int32_t>(data, index) : value_at<float>(data, index);
}

std::string read_field(PluginField const& given, Field const& field) {
  std::string const quoted = "field '" + std::string{field.name} + "'";
  if (given.type != field.type) {
    return quoted + " is " + type_name(given.type) + "; it must be " + type_name(field.type);
  }
  if (given.length != field.length) {
    return quoted + " has length " + std::to_string(given.length) + "; it must be " + std::to_string(field.length);
  }
  if (given.data == nullptr) {
    return quoted + " has no data";
  }
  for (int32_t i = 0; i < field.length; ++i) {
    double const value = value_at(given.data, field.type, i);
    if (!(value >= field.lowest && value <= field.highest)) {  // also false for NaN
      return quoted + " is " + number(value) + " at [" + std::to_string(i) + "]; allowed is " + number(field.lowest) +
             " to " + number(field.highest);
    }
  }
  std::memcpy(field.data, given.data, field.length * sizeof(int32_t));
  return "";
}

}  // namespace

std::string read_fields(nvinfer1::PluginFieldCollection const* given, std::vector<Field> const& table) {
  if (given == nullptr || given->nbFields < 0 || (given->nbFields > 0 && given->fields == nullptr)) {
    return "no field collection was given; fields are " + names(table);
  }
  std::vector<bool> seen(table.size(), false);
  for (int32_t i = 0; i < given->nbFields; ++i) {
    PluginField const& one = given->fields[i];
    std::string const name = one.name != nullptr ? one.name : "";
    size_t place = 0;
    while (place < table.size() && name != table[place].name) {
      ++place;
    }
    if (place == table.size()) {
      return "unknown field '" + name + "'; fields are " + names(table);
    }
    if (seen[place]) {
      return "field '" + name + "' is given twice";
    }
    seen[place] = true;
    if (std::string const error = read_field(one, table[place]); !error.empty()) {
      return error;
    }
  }
  for (size_t place = 0; place < table.size(); ++place) {
    if (!seen[place]) {
      return "field '" + std::string{table[place].name} + "' is missing; all of " + names(table) + " are required";
    }
  }
  return "";
}

std::vector<PluginField> to_plugin_fields(std::vector<Field> const& table, bool with_data) {
  std::vector<PluginField> fields;
  for (Field const& field : table) {
    fields.emplace_back(field.name, with_data ? field.data : nullptr, field.type, field.length);
  }
  return fields;
}

std::string describe_fields(std::vector<Field> const& table) {
  std::string text;
  for (Field const& field : table) {
    text += (text.empty() ? "" : " ") + std::string{field.name};
    for (int32_t i = 0; i < field.length; ++i) {
      char value[40];
      std::snprintf(value, sizeof value, "%c%a", i == 0 ? '=' : ',', value_at(field.data, field.type, i));
      text += value;
    }
  }
  return text;
}

}  // namespace edgefas
