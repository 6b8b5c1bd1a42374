#pragma once

#include <string>

namespace edgefas {

// Says why something was refused: to the logger TensorRT's loader gave us, else to stderr. Never throws.
void log_error(std::string const& message) noexcept;

}  // namespace edgefas
