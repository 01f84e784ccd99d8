#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>

#include "core/base/error.hpp"
#include "kernels/make_backend.hpp"
#include "tests/cuda_on_host/kernel_checks.hpp"

// The op cases on a real GPU: with the vendor's libraries, and by the plain kernels alone. Without
// a GPU nothing runs, which is said with a count, and is a failure under DIFFUSE_REQUIRE_CUDA=1.
namespace diffuse::test {
namespace {

bool gpu_is_here() {
  std::string why;
  if (cuda_available(&why)) return true;
  const std::size_t cases = cuda_checks(DType::f32).size() + cuda_checks(DType::f16).size() +
                            cuda_checks(DType::bf16).size();
  std::cout << "not run: " << 2 * cases << " cases on a GPU: " << why << "\n";
  const char* required = std::getenv("DIFFUSE_REQUIRE_CUDA");
  INFO(why);
  CHECK_FALSE((required != nullptr && std::string_view(required) == "1"));
  return false;
}

// Calls `body` with a device of each dtype that the GPU has.
template <class Body>
void with_devices(bool libraries, const Body& body) {
  setenv("DIFFUSE_BATCH_CUDA_PLAIN", libraries ? "0" : "1", 1);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    auto backend = make_backend("cuda", {});
    const std::string name = backend->numerics() + " " + std::string(name_of(dtype));
    if (const std::string why = backend->refuses(dtype); !why.empty()) {
      std::cout << name << ": not run: " << why << "\n";
      continue;
    }
    Device device(std::move(backend), dtype);
    body(device, name);
  }
  unsetenv("DIFFUSE_BATCH_CUDA_PLAIN");
}

}  // namespace

TEST_CASE("on the GPU every op gives what its definition gives") {
  if (!gpu_is_here()) return;
  for (const bool libraries : {true, false}) {
    with_devices(libraries, [&](Device& device, const std::string& name) {
      int count = 0;
      for (const Check& check : cuda_checks(device.dtype())) {
        INFO(name << ": " << check.op << ": " << check.what);
        check_values(device, check, libraries);
        ++count;
      }
      std::cout << name << ": " << count << " cases\n";
    });
  }
}

TEST_CASE("on the GPU a picture's bytes do not depend on its neighbours") {
  if (!gpu_is_here()) return;
  with_devices(true, [](Device& device, const std::string& name) {
    for (const Check& check : cuda_checks(device.dtype())) {
      if (check.entries == 1) continue;
      INFO(name << ": " << check.op << ": " << check.what);
      check_neighbours(device, check);
    }
  });
}

TEST_CASE("on the GPU preparing a weight refuses values that are not finite") {
  if (!gpu_is_here()) return;
  const auto backend = make_backend("cuda", {});
  std::vector<float> values(6000, 1.0F);
  values[4321] = std::numeric_limits<float>::infinity();
  const StoredWeight part{std::as_bytes(std::span(values)), DType::f32, {60, 100}};
  CHECK_THROWS_WITH(backend->prepare({&part, 1}, {.role = WeightRole::linear, .dtype = DType::f16}),
                    "non-finite value at element 4321");
}

}  // namespace diffuse::test
