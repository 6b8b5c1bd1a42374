// lifecycle LEAN_RUNTIME PLUGIN_LIBRARY MAJOR_VERSION_OF_ITS_HEADERS: loads the plugins into a real TensorRT runtime
// and asks them everything a builder and an engine would, up to the launch of a kernel. Needs no GPU: it never makes an
// IRuntime, which would crash without one. Compile it with headers of the runtime's major version: IPluginRegistry
// changed in 11.

#include <NvInferRuntime.h>
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

#include "plugin_checks.h"

namespace {

using namespace nvinfer1;

template <typename Function>
Function* symbol(void* library, char const* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

int32_t creator_count(IPluginRegistry& registry) {
  int32_t count = 0;
  registry.getAllCreators(&count);
  return count;
}

IPluginCreatorV3One* find_creator(Report& report, IPluginRegistry& registry, std::string const& name) {
  report.step(name + " getCreator");
  report.check(registry.getCreator(name.c_str(), "1", "") == nullptr, "not in the empty namespace");
  report.check(registry.getCreator(name.c_str(), "2", "edgefas") == nullptr, "not as version 2");
  auto* found = registry.getCreator(name.c_str(), "1", "edgefas");
  if (!report.check(found != nullptr, "version 1 in namespace edgefas")) {
    return nullptr;
  }
  if (!report.check(std::string{found->getInterfaceInfo().kind} == "PLUGIN CREATOR_V3ONE", "of the V3 kind")) {
    return nullptr;
  }
  return static_cast<IPluginCreatorV3One*>(found);
}

using SetLoggerFinder = void(ILoggerFinder*);

// A library made with headers of another major version must keep away from the logger: its tables of functions differ.
void check_logging(Report& report, Messages& messages, IPluginCreatorV3One& creator, SetLoggerFinder* set_logger_finder,
                   int32_t plugin_major) {
  report.step("setLoggerFinder");
  messages.take();
  report.check(create(creator, {}, TensorRTPhase::kBUILD) == nullptr && !messages.take_printed().empty(),
               "TensorRT's own finder has no logger here: stderr is used");
  set_logger_finder(messages.finder());
  report.check(create(creator, {}, TensorRTPhase::kBUILD) == nullptr, "refused");
  std::string const printed = messages.take_printed(), logged = messages.take_logged();
  bool const same_major = plugin_major == NV_TENSORRT_MAJOR;
  report.check(logged.empty() != same_major && printed.empty() == same_major,
               same_major ? "same major version: the logger is used" : "other major version: stderr is used");
  report.check(!messages.finder()->asked_language(), "no function of another version's table is called");
}

void check_library(Report& report, IPluginRegistry& registry, char const* path, int32_t plugin_major) {
  report.step("loadLibrary");
  int32_t const before = creator_count(registry);
  auto* handle = registry.loadLibrary(path);
  if (!report.check(handle != nullptr, "a handle")) {
    return;
  }
  int32_t const added = creator_count(registry) - before;
  report.check(added == 2, std::to_string(added) + " creators more");

  // Same file, so the same library: its messages go to us from here on, and before that to whom TensorRT chose.
  void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  auto* set_logger_finder = library != nullptr ? symbol<SetLoggerFinder>(library, "setLoggerFinder") : nullptr;
  if (!report.check(set_logger_finder != nullptr, "exports setLoggerFinder")) {
    return;
  }
  Messages messages;
  bool first = true;
  for (Subject const& subject : {bte_subject(), dcnv2_subject()}) {
    auto* creator = find_creator(report, registry, subject.name);
    if (creator == nullptr) {
      continue;
    }
    if (first) {
      check_logging(report, messages, *creator, set_logger_finder, plugin_major);
      first = false;
    }
    check_plugin(report, messages, *creator, subject);
  }
  set_logger_finder(nullptr);
  dlclose(library);

  report.step("deregisterLibrary");
  registry.deregisterLibrary(handle);
  report.check(creator_count(registry) == before, "the creators are gone");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: lifecycle LEAN_RUNTIME PLUGIN_LIBRARY MAJOR_VERSION_OF_ITS_HEADERS\n");
    return 2;
  }
  Report report;
  report.step("lean runtime");
  void* lean = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
  if (!report.check(lean != nullptr, lean != nullptr ? "is loaded" : dlerror())) {
    return 1;
  }
  auto* get_registry = symbol<IPluginRegistry*()>(lean, "getPluginRegistry");
  auto* get_version = symbol<int32_t()>(lean, "getInferLibVersion");
  if (!report.check(get_registry != nullptr && get_version != nullptr, "its entry points")) {
    return 1;
  }
  // 10.16.1 is 101601, 11.4.0 is 110400.
  int32_t const major = get_version() / 10000;
  if (!report.check(major == NV_TENSORRT_MAJOR, "version " + std::to_string(get_version()) + ", headers of major " +
                                                    std::to_string(NV_TENSORRT_MAJOR))) {
    return 1;
  }
  check_library(report, *get_registry(), arguments[2], std::atoi(arguments[3]));
  std::fflush(stdout);
  _exit(report.failed() ? 1 : 0);  // not through the runtime's own clean-up
}
