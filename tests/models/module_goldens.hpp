#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/io/safetensors.hpp"
#include "core/tensor/shape.hpp"

namespace diffuse::test {

inline std::filesystem::path data_path(const std::string& name) {
  return std::filesystem::path(DIFFUSE_TEST_DATA) / name;
}

/// Golden tensors of one file, as written by scripts/reference/.
class Goldens {
 public:
  explicit Goldens(const std::string& name)
      : file_(SafetensorsFile::open(data_path("goldens/" + name))) {}

  [[nodiscard]] bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  [[nodiscard]] std::vector<std::int64_t> shape(const std::string& name) const {
    return info(name).shape;
  }
  template <class T = float>
  [[nodiscard]] std::vector<T> values(const std::string& name) const {
    const auto bytes = file_.bytes(info(name));
    std::vector<T> out(bytes.size() / sizeof(T));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }

 private:
  [[nodiscard]] const TensorInfo& info(const std::string& name) const {
    const TensorInfo* found = file_.find(name);
    if (found == nullptr) throw std::runtime_error("no golden named " + name);
    return *found;
  }
  SafetensorsFile file_;
};

/// [N, C, H, W] to [N, H, W, C].
inline std::vector<float> channels_last(const std::vector<float>& x,
                                        const std::vector<std::int64_t>& shape) {
  const auto c_count = static_cast<std::size_t>(shape[1]);
  const auto pixels = static_cast<std::size_t>(shape[2] * shape[3]);
  std::vector<float> out(x.size());
  for (std::size_t n = 0; n < static_cast<std::size_t>(shape[0]); ++n) {
    for (std::size_t c = 0; c < c_count; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) {
        out[(n * pixels + p) * c_count + c] = x[(n * c_count + c) * pixels + p];
      }
    }
  }
  return out;
}

}  // namespace diffuse::test
