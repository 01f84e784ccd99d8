#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

#include "core/base/error.hpp"

namespace diffuse::test {

/// Eight bytes, the lowest first.
inline std::string length_bytes(std::uint64_t length) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>((length >> (8 * i)) & 0xFFU);
  return out;
}

/// A safetensors file of that header and data.
inline std::string safetensors(const std::string& header, const std::string& data = {}) {
  return length_bytes(header.size()) + header + data;
}

/// The message of the InputError(bad_model) that `call` throws; fails the test if it throws
/// something else or nothing.
template <class Call>
std::string bad_model_message(Call call) {
  try {
    call();
  } catch (const InputError& error) {
    CHECK(error.code() == ExitCode::bad_model);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  FAIL("no InputError");
  return {};
}

}  // namespace diffuse::test
