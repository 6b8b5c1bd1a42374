#include "plugin_checks.h"

#include <cstdint>
#include <memory>

namespace {

using namespace nvinfer1;
using Plugin = std::unique_ptr<IPluginV3>;

// The interfaces of a plugin; null where it does not give one.
struct Sides {
  explicit Sides(IPluginV3* plugin)
      : core{static_cast<IPluginV3OneCore*>(plugin->getCapabilityInterface(PluginCapabilityType::kCORE))},
        build{static_cast<IPluginV3OneBuild*>(plugin->getCapabilityInterface(PluginCapabilityType::kBUILD))},
        runtime{static_cast<IPluginV3OneRuntime*>(plugin->getCapabilityInterface(PluginCapabilityType::kRUNTIME))} {}

  IPluginV3OneCore* core;
  IPluginV3OneBuild* build;
  IPluginV3OneRuntime* runtime;
};

// An error must begin "NAME: field 'FIELD'" or "NAME: TENSOR ".
bool names(std::string const& message, std::string const& plugin, std::string const& what) {
  for (std::string const& start : {"field '" + what + "'", "unknown field '" + what + "'", what + " has shape"}) {
    if (message.rfind(plugin + ": " + start, 0) == 0) {
      return true;
    }
  }
  return false;
}

std::string text(Shape const& shape) {
  std::string all;
  for (int64_t size : shape) {
    all += (all.empty() ? "" : ", ") + std::to_string(size);
  }
  return "(" + all + ")";
}

Dims to_dims(Shape const& shape) {
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    dims.d[i] = shape[i];
  }
  return dims;
}

PluginTensorDesc to_desc(Shape const& shape, DataType type = DataType::kFLOAT,
                         TensorFormat format = TensorFormat::kLINEAR) {
  PluginTensorDesc desc{};
  desc.dims = to_dims(shape);
  desc.type = type;
  desc.format = format;
  return desc;
}

// `free_batch`: as in a network whose batch is only known per call.
DynamicPluginTensorDesc to_dynamic(Shape const& shape, bool free_batch, DataType type = DataType::kFLOAT,
                                   TensorFormat format = TensorFormat::kLINEAR) {
  DynamicPluginTensorDesc desc{};
  desc.desc = to_desc(shape, type, format);
  desc.min = desc.opt = desc.max = desc.desc.dims;
  if (free_batch && shape.size() == 4) {
    desc.desc.dims.d[0] = -1;
  }
  return desc;
}

void check_advertised(Report& report, IPluginCreatorV3One& creator, Subject const& subject) {
  report.step(subject.name + " getFieldNames");
  PluginFieldCollection const* names = creator.getFieldNames();
  report.check(names != nullptr && names->nbFields == static_cast<int32_t>(subject.fields.size()), "number of fields");
  for (size_t i = 0; i < subject.fields.size() && names != nullptr && i < static_cast<size_t>(names->nbFields); ++i) {
    auto const& [name, type, words, has_data] = subject.fields[i];
    auto const& found = names->fields[i];
    report.check(name == found.name && found.type == type && found.length == static_cast<int32_t>(words.size()), name);
  }
}

void check_refused(Report& report, Messages& messages, IPluginCreatorV3One& creator, Subject const& subject,
                   std::vector<Given> const& given, std::string const& named, std::string const& what) {
  messages.take();
  Plugin const plugin{create(creator, given, TensorRTPhase::kBUILD)};
  std::string const message = messages.take();
  report.check(plugin == nullptr && names(message, subject.name, named), what + ": " + message);
}

void check_bad_fields(Report& report, Messages& messages, IPluginCreatorV3One& creator, Subject const& subject) {
  report.step(subject.name + " createPlugin refuses bad fields by name");
  auto const refused = [&](std::vector<Given> const& given, std::string const& named, std::string const& what) {
    check_refused(report, messages, creator, subject, given, named, what);
  };
  for (size_t i = 0; i < subject.fields.size(); ++i) {
    std::string const name = subject.fields[i].name;
    auto given = subject.fields;
    given[i].name = name + "s";
    refused(given, name + "s", "misspelt");
    given = subject.fields;
    given.push_back(number("unknown", 1.0F));
    refused(given, "unknown", "unknown");
    given = subject.fields;
    given.erase(given.begin() + static_cast<std::ptrdiff_t>(i));
    refused(given, name, "missing");
    given.push_back(subject.fields[i]);
    given.push_back(subject.fields[i]);
    refused(given, name, "twice");
    given = subject.fields;
    for (auto type :
         {PluginFieldType::kINT64, PluginFieldType::kFLOAT64, PluginFieldType::kCHAR, PluginFieldType::kUNKNOWN,
          given[i].type == PluginFieldType::kINT32 ? PluginFieldType::kFLOAT32 : PluginFieldType::kINT32}) {
      given[i].type = type;
      refused(given, name, "wrong type");
    }
    given = subject.fields;
    given[i].words.push_back(given[i].words[0]);
    refused(given, name, "too long");
    given[i].words.clear();
    refused(given, name, "empty");
    given = subject.fields;
    given[i].has_data = false;
    refused(given, name, "no data");
  }
  for (auto const& bad : subject.bad_values) {
    auto given = subject.fields;
    for (auto& one : given) {
      one.words = one.name == bad.field ? bad.words : one.words;
    }
    refused(given, bad.field, "out of range");
  }
  report.check(creator.createPlugin("proof", nullptr, TensorRTPhase::kBUILD) == nullptr, "no collection");
  PluginFieldCollection const broken{1, nullptr};
  report.check(creator.createPlugin("proof", &broken, TensorRTPhase::kBUILD) == nullptr, "collection without fields");
}

void check_formats(Report& report, Sides const& sides, Subject const& subject) {
  report.step(subject.name + " supportsFormatCombination");
  size_t const inputs = subject.calls[0].inputs.size();
  int32_t const count = static_cast<int32_t>(inputs);
  for (auto const& one : subject.formats) {
    std::vector<DynamicPluginTensorDesc> tensors(inputs + 1, to_dynamic(one.shape, true, one.type, one.format));
    bool right = true;
    for (int32_t position = 0; position <= count; ++position) {
      // TensorRT asks about a tensor only if those before it were accepted.
      bool const supported = sides.build->supportsFormatCombination(position, tensors.data(), count, 1);
      right = right && (supported == one.supported || (position > 0 && !one.supported));
    }
    report.check(right, "type " + std::to_string(static_cast<int32_t>(one.type)) + " format " +
                            std::to_string(static_cast<int32_t>(one.format)) + " " + text(one.shape));
    for (int32_t position = 1; position <= count && one.supported; ++position) {
      auto mixed = tensors;
      mixed[position].desc.type = one.type == DataType::kFLOAT ? DataType::kHALF : DataType::kFLOAT;
      report.check(!sides.build->supportsFormatCombination(position, mixed.data(), count, 1), "mixed types");
      mixed = tensors;
      mixed[position].desc.format = one.format == TensorFormat::kLINEAR ? TensorFormat::kCHW32 : TensorFormat::kLINEAR;
      report.check(!sides.build->supportsFormatCombination(position, mixed.data(), count, 1), "mixed formats");
    }
  }
  std::vector<DynamicPluginTensorDesc> more(inputs + 2, to_dynamic(subject.formats[0].shape, true));
  report.check(!sides.build->supportsFormatCombination(0, more.data(), count + 1, 1), "an input too many");
}

// Returns false if the plugin refuses; `found` gets the output's shape.
bool output_shape(IPluginV3OneBuild& build, std::vector<Shape> const& inputs, bool free_batch, Shape& found,
                  bool& batch_is_constant) {
  FakeExprBuilder builder;
  std::vector<DimsExprs> exprs(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    exprs[i].nbDims = static_cast<int32_t>(inputs[i].size());
    for (size_t axis = 0; axis < inputs[i].size(); ++axis) {
      exprs[i].d[axis] = builder.make(inputs[i][axis], !(free_batch && i < 3 && axis == 0));
    }
  }
  DimsExprs output{};
  if (build.getOutputShapes(exprs.data(), static_cast<int32_t>(exprs.size()), nullptr, 0, &output, 1, builder) != 0) {
    return false;
  }
  found.clear();
  for (int32_t axis = 0; axis < output.nbDims; ++axis) {
    found.push_back(value_of(output.d[axis]));
  }
  batch_is_constant = output.nbDims > 0 && is_constant(output.d[0]);
  return true;
}

// configurePlugin and onShapeChange, which must agree.
bool accepts(Sides const& sides, Call const& call, bool free_batch) {
  std::vector<DynamicPluginTensorDesc> dynamic;
  std::vector<PluginTensorDesc> fixed;
  for (auto const& shape : call.inputs) {
    dynamic.push_back(to_dynamic(shape, free_batch));
    fixed.push_back(to_desc(shape));
  }
  auto const count = static_cast<int32_t>(fixed.size());
  auto const output = to_dynamic(call.output, free_batch);
  bool const configured = sides.build->configurePlugin(dynamic.data(), count, &output, 1) == 0;
  bool const changed = sides.runtime->onShapeChange(fixed.data(), count, &output.desc, 1) == 0;
  return configured && changed;
}

void check_shapes(Report& report, Messages& messages, IPluginCreatorV3One& creator, Subject const& subject) {
  report.step(subject.name + " getOutputShapes, configurePlugin, onShapeChange");
  for (Call const& call : subject.calls) {
    Plugin const plugin{create(creator, call.fields, TensorRTPhase::kBUILD)};
    if (!report.check(plugin != nullptr, "createPlugin " + messages.take())) {
      continue;
    }
    Sides const sides{plugin.get()};
    for (bool free_batch : {false, true}) {
      Shape found;
      bool batch_is_constant = false;
      bool const answered = output_shape(*sides.build, call.inputs, free_batch, found, batch_is_constant);
      report.check(answered && found == call.output && batch_is_constant != free_batch,
                   text(call.inputs[0]) + " gives " + text(found) + ", wanted " + text(call.output) + messages.take());
      report.check(accepts(sides, call, free_batch), text(call.inputs[0]) + " is accepted " + messages.take());
    }
    // A batch of none must pass through as well.
    Call empty = call;
    for (size_t i = 0; i < empty.inputs.size() && i < 3; ++i) {
      empty.inputs[i][0] = 0;
    }
    empty.output[0] = 0;
    report.check(accepts(sides, empty, false), "an empty batch is accepted " + messages.take());
  }
  report.step(subject.name + " wrong shapes are refused by name");
  for (auto const& [call, named] : subject.bad_calls) {
    Plugin const plugin{create(creator, call.fields, TensorRTPhase::kBUILD)};
    if (!report.check(plugin != nullptr, "createPlugin " + messages.take())) {
      continue;
    }
    Sides const sides{plugin.get()};
    std::vector<PluginTensorDesc> descs;
    std::vector<DynamicPluginTensorDesc> dynamic;
    for (auto const& shape : call.inputs) {
      descs.push_back(to_desc(shape));
      dynamic.push_back(to_dynamic(shape, false));
    }
    auto const count = static_cast<int32_t>(descs.size());
    auto const output = to_dynamic(call.output, false);
    messages.take();
    bool refused = sides.runtime->onShapeChange(descs.data(), count, &output.desc, 1) != 0;
    std::string const message = messages.take();
    report.check(refused && names(message, subject.name, named), "onShapeChange: " + message);
    refused = sides.build->configurePlugin(dynamic.data(), count, &output, 1) != 0;
    std::string const at_build = messages.take();
    report.check(refused && names(at_build, subject.name, named), "configurePlugin: " + at_build);
  }
  Plugin const plugin{create(creator, subject.calls[0].fields, TensorRTPhase::kBUILD)};
  Shape found;
  bool constant = false;
  auto inputs = subject.calls[0].inputs;
  inputs.push_back(inputs[0]);
  report.check(!output_shape(*Sides{plugin.get()}.build, inputs, false, found, constant), "an input too many");
  messages.take();
}

void check_copies(Report& report, IPluginCreatorV3One& creator, Subject const& subject, IPluginV3* plugin) {
  Sides const sides{plugin};
  report.step(subject.name + " clone and attachToContext");
  Plugin const clone{plugin->clone()};
  Plugin const attached{sides.runtime->attachToContext(nullptr)};
  for (IPluginV3* copy : {clone.get(), attached.get()}) {
    report.check(copy != nullptr && copy != plugin && serialized(copy) == subject.fields, "a copy with equal fields");
  }
  report.step(subject.name + " getFieldsToSerialize, createPlugin(kRUNTIME)");
  auto const plan = serialized(plugin);
  report.check(plan == subject.fields, "all fields are serialised");
  Plugin const restored{create(creator, plan, TensorRTPhase::kRUNTIME)};
  report.check(restored != nullptr && serialized(restored.get()) == subject.fields, "restored with equal fields");
  for (size_t i = 0; i < plan.size(); ++i) {
    auto damaged = plan;
    damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(i));
    Plugin const none{create(creator, damaged, TensorRTPhase::kRUNTIME)};
    report.check(none == nullptr, "a plan without " + plan[i].name + " is refused");
  }
  report.step(subject.name + " getTimingCacheID");
  std::string const id = sides.build->getTimingCacheID();
  report.check(!id.empty() && id == Sides{clone.get()}.build->getTimingCacheID(), id);
  for (size_t i = 0; i < plan.size(); ++i) {
    auto other = plan;
    other[i].words.back() += 1;
    Plugin const differing{create(creator, other, TensorRTPhase::kBUILD)};
    report.check(differing != nullptr && id != Sides{differing.get()}.build->getTimingCacheID(), "differs by field");
  }
}

void check_enqueue(Report& report, Messages& messages, IPluginCreatorV3One& creator, Subject const& subject) {
  report.step(subject.name + " enqueue");
  Call call = subject.calls[0];
  Plugin const plugin{create(creator, call.fields, TensorRTPhase::kRUNTIME)};
  if (!report.check(plugin != nullptr, "createPlugin " + messages.take())) {
    return;
  }
  auto const enqueue = [&](DataType type) {
    std::vector<PluginTensorDesc> descs;
    for (auto const& shape : call.inputs) {
      descs.push_back(to_desc(shape, type));
    }
    auto const output_desc = to_desc(call.output, type);
    // Never followed: there is no device, and an empty batch has no elements.
    std::vector<void const*> const inputs(descs.size(), reinterpret_cast<void const*>(std::uintptr_t{0x1000}));
    void* const output = reinterpret_cast<void*>(std::uintptr_t{0x2000});
    return Sides{plugin.get()}.runtime->enqueue(descs.data(), &output_desc, inputs.data(), &output, nullptr, nullptr);
  };
  for (auto type : {DataType::kFLOAT, DataType::kHALF}) {
    int32_t const status = enqueue(type);
    std::string const message = messages.take();
    report.check(status != 0 && message.find("launch failed") != std::string::npos, "no device: " + message);
  }
  for (auto& shape : call.inputs) {
    shape[0] = shape.size() == 4 ? 0 : shape[0];
  }
  call.output[0] = 0;
  report.check(enqueue(DataType::kFLOAT) == 0, "an empty batch needs no launch");
}

}  // namespace

void check_plugin(Report& report, Messages& messages, IPluginCreatorV3One& creator, Subject const& subject) {
  check_advertised(report, creator, subject);
  report.step(subject.name + " createPlugin(kBUILD)");
  Plugin const plugin{create(creator, subject.fields, TensorRTPhase::kBUILD)};
  if (!report.check(plugin != nullptr, "good fields " + messages.take())) {
    return;
  }
  check_bad_fields(report, messages, creator, subject);

  report.step(subject.name + " getCapabilityInterface");
  Sides const sides{plugin.get()};
  if (!report.check(sides.core != nullptr && sides.build != nullptr && sides.runtime != nullptr, "three interfaces")) {
    return;
  }
  report.check(std::string{sides.core->getInterfaceInfo().kind} == "PLUGIN_V3ONE_CORE", "core");
  report.check(std::string{sides.build->getInterfaceInfo().kind} == "PLUGIN_V3ONE_BUILD", "build");
  report.check(std::string{sides.runtime->getInterfaceInfo().kind} == "PLUGIN_V3ONE_RUNTIME", "runtime");
  report.check(subject.name == sides.core->getPluginName() && std::string{"1"} == sides.core->getPluginVersion() &&
                   std::string{"edgefas"} == sides.core->getPluginNamespace(),
               "name, version, namespace");
  report.check(sides.build->getNbOutputs() == 1, "one output");
  report.check(sides.build->getWorkspaceSize(nullptr, 0, nullptr, 0) == 0, "no workspace");

  report.step(subject.name + " getOutputDataTypes");
  for (auto type : {DataType::kFLOAT, DataType::kHALF}) {
    std::vector<DataType> const inputs(subject.calls[0].inputs.size(), type);
    DataType output = DataType::kBOOL;
    int32_t const status =
        sides.build->getOutputDataTypes(&output, 1, inputs.data(), static_cast<int32_t>(inputs.size()));
    report.check(status == 0 && output == type, "type " + std::to_string(static_cast<int32_t>(type)));
  }
  check_formats(report, sides, subject);
  check_shapes(report, messages, creator, subject);
  check_copies(report, creator, subject, plugin.get());
  check_enqueue(report, messages, creator, subject);
}
