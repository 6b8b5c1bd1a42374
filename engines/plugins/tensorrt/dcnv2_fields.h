#pragma once

#include <array>
#include <cstdint>

namespace edgefas {

using HeightWidth = std::array<int32_t, 2>;

struct Dcnv2Fields {
  int32_t group{};
  int32_t deformable_group{};
  HeightWidth stride{};
  HeightWidth padding{};
  HeightWidth dilation{};
};

}  // namespace edgefas
