#pragma once

#include <new>
#include <string>

#include "core/base/error.hpp"

namespace diffuse {

/// Calls `step`. If the host's or the device's memory is too small for it, what is said of that;
/// else empty. Other failures are thrown.
template <class Step>
std::string out_of_memory_in(const Step& step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const DeviceError& error) {
    if (error.code() != ExitCode::no_device) throw;
    return error.what();
  }
  return {};
}

}  // namespace diffuse
