#include "log.h"

#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdio>

namespace edgefas {
namespace {

using nvinfer1::ILoggerFinder;

std::atomic<ILoggerFinder*> logger_finder{nullptr};

// Major version of the TensorRT that made `finder`; 0 if unknown. Asked of the process, since the library links nothing
// of TensorRT, or else of the file that the finder's table of functions lies in (TensorRT may be loaded privately).
int32_t major_version(ILoggerFinder* finder) noexcept {
  constexpr char const* kSymbol = "getInferLibVersion";
  void* symbol = dlsym(RTLD_DEFAULT, kSymbol);
  Dl_info where{};
  if (symbol == nullptr && dladdr(*reinterpret_cast<void* const*>(finder), &where) != 0) {
    if (void* library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD); library != nullptr) {
      symbol = dlsym(library, kSymbol);
      dlclose(library);
    }
  }
  return symbol != nullptr ? reinterpret_cast<int32_t (*)()>(symbol)() / 10000 : 0;
}

}  // namespace

void log_error(std::string const& message) noexcept {
  auto* finder = logger_finder.load();
  // Outside a builder, engine or context there may be no logger even if there is a finder.
  nvinfer1::ILogger* logger = finder != nullptr ? finder->findLogger() : nullptr;
  if (logger != nullptr) {
    logger->log(nvinfer1::ILogger::Severity::kERROR, message.c_str());
  } else {
    std::fprintf(stderr, "%s\n", message.c_str());
  }
}

}  // namespace edgefas

// Called by IPluginRegistry::loadLibrary. ILoggerFinder and ILogger got a new base class in TensorRT 11, so a library
// made with headers of one major version must not call those of another.
extern "C" void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  bool const same = finder != nullptr && edgefas::major_version(finder) == NV_TENSORRT_MAJOR;
  edgefas::logger_finder.store(same ? finder : nullptr);
}
