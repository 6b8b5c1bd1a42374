#pragma once

#include <NvInfer.h>

#include <memory>
#include <string>
#include <vector>

// What TensorRT's builder would hand to a plugin; a machine without a GPU cannot make the real ones.

class FakeExpr final : public nvinfer1::IDimensionExpr, public nvinfer1::apiv::VDimensionExpr {
 public:
  FakeExpr(int64_t value, bool constant) : value_{value}, constant_{constant} { mImpl = this; }
  bool isConstant() const noexcept override { return constant_; }
  int64_t getConstantValue() const noexcept override { return value_; }
  bool isSizeTensor() const noexcept override { return false; }
  int64_t value() const { return value_; }

 private:
  int64_t value_;
  bool constant_;
};

inline int64_t value_of(nvinfer1::IDimensionExpr const* expr) { return static_cast<FakeExpr const*>(expr)->value(); }
inline bool is_constant(nvinfer1::IDimensionExpr const* expr) {
  return static_cast<FakeExpr const*>(expr)->isConstant();
}

// Evaluates at once. A result is constant only if all it was made of is, as in the real builder.
class FakeExprBuilder final : public nvinfer1::IExprBuilder, public nvinfer1::apiv::VExprBuilder {
 public:
  FakeExprBuilder() { nvinfer1::IExprBuilder::mImpl = this; }

  nvinfer1::IDimensionExpr const* make(int64_t value, bool constant) {
    all_.push_back(std::make_unique<FakeExpr>(value, constant));
    return all_.back().get();
  }

  nvinfer1::IDimensionExpr const* constant(int64_t value) noexcept override { return make(value, true); }

  nvinfer1::IDimensionExpr const* operation(nvinfer1::DimensionOperation operation,
                                            nvinfer1::IDimensionExpr const& first,
                                            nvinfer1::IDimensionExpr const& second) noexcept override {
    int64_t const a = value_of(&first), b = value_of(&second);
    return make(evaluate(operation, a, b), is_constant(&first) && is_constant(&second));
  }

  nvinfer1::IDimensionExpr const* declareSizeTensor(int32_t, nvinfer1::IDimensionExpr const& optimum,
                                                    nvinfer1::IDimensionExpr const&) noexcept override {
    return &optimum;
  }

 private:
  static int64_t evaluate(nvinfer1::DimensionOperation operation, int64_t a, int64_t b) {
    switch (operation) {
      case nvinfer1::DimensionOperation::kSUM:
        return a + b;
      case nvinfer1::DimensionOperation::kPROD:
        return a * b;
      case nvinfer1::DimensionOperation::kMAX:
        return a > b ? a : b;
      case nvinfer1::DimensionOperation::kMIN:
        return a < b ? a : b;
      case nvinfer1::DimensionOperation::kSUB:
        return a - b;
      case nvinfer1::DimensionOperation::kEQUAL:
        return a == b;
      case nvinfer1::DimensionOperation::kLESS:
        return a < b;
      case nvinfer1::DimensionOperation::kFLOOR_DIV:
        return a / b - (a % b != 0 && (a < 0) != (b < 0));
      case nvinfer1::DimensionOperation::kCEIL_DIV:
        return a / b + (a % b != 0 && (a < 0) == (b < 0));
    }
    return 0;
  }

  std::vector<std::unique_ptr<FakeExpr>> all_;
};

// Keeps the last error as the plugin gave it to TensorRT's logger.
class RecordingLogger final : public nvinfer1::ILogger, public nvinfer1::ILoggerFinder {
 public:
  void log(Severity severity, nvinfer1::AsciiChar const* message) noexcept override {
    if (severity <= Severity::kERROR) {
      last_ = message;
    }
  }
  nvinfer1::ILogger* findLogger() override { return this; }

#if NV_TENSORRT_MAJOR >= 11
  // Where headers of TensorRT 10 have findLogger: a library made with those must not even ask.
  nvinfer1::APILanguage getAPILanguage() const noexcept override {
    asked_language_ = true;
    return nvinfer1::APILanguage::kCPP;
  }
#endif
  bool asked_language() const { return asked_language_; }

  std::string take() {
    std::string message;
    message.swap(last_);
    return message;
  }

 private:
  std::string last_;
  mutable bool asked_language_ = false;
};
