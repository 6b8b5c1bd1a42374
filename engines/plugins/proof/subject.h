#pragma once

#include <NvInfer.h>

#include <functional>
#include <string>
#include <vector>

#include "given.h"

using Shape = std::vector<int64_t>;

struct BadValue {
  std::string field;
  std::vector<int32_t> words;
};

// One call: the shapes of the inputs, and what the output's must be.
struct Call {
  std::vector<Given> fields;
  std::vector<Shape> inputs;
  Shape output;
};

struct BadCall {
  Call call;
  std::string named;  // the tensor or field its error must name
};

struct FormatCase {
  nvinfer1::DataType type;
  nvinfer1::TensorFormat format;
  Shape shape;
  bool supported;
};

// What one plugin must do, written down apart from its sources.
struct Subject {
  std::string name;
  std::vector<Given> fields;
  std::vector<BadValue> bad_values;
  std::vector<Call> calls;
  std::vector<BadCall> bad_calls;
  std::vector<FormatCase> formats;
};

Subject bte_subject();
Subject dcnv2_subject();
