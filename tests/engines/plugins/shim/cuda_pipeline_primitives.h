// Asynchronous copies into shared memory: nothing arrives before a thread waits, so that a forgotten wait shows.
#pragma once

#include "cuda_runtime.h"

inline void __pipeline_memcpy_async(void* to, void const* from, size_t bytes, size_t zeros = 0) {
  if (reinterpret_cast<uintptr_t>(to) % bytes != 0 || reinterpret_cast<uintptr_t>(from) % bytes != 0) std::abort();
  shim::fibres[shim::current]->copies.push_back({to, from, bytes, zeros, false});
}

inline void __pipeline_commit() {
  for (auto& copy : shim::fibres[shim::current]->copies) copy.committed = true;
}

// Only for 0: all that was committed.
inline void __pipeline_wait_prior(size_t) {
  auto& copies = shim::fibres[shim::current]->copies;
  for (auto const& copy : copies) {
    if (!copy.committed) continue;
    std::memcpy(copy.to, copy.from, copy.bytes - copy.zeros);
    std::memset(static_cast<char*>(copy.to) + copy.bytes - copy.zeros, 0, copy.zeros);
  }
  copies.erase(std::remove_if(copies.begin(), copies.end(), [](auto const& copy) { return copy.committed; }),
               copies.end());
}
