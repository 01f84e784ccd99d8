#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <string_view>

#include "core/base/error.hpp"
#include "kernels/make_backend.hpp"
#include "kernels/plans/planner.hpp"
#include "tests/cuda_on_host/kernel_checks.hpp"

// The op cases on a real GPU: with the vendor's libraries, and by the plain kernels alone;
// attention also by the kernels that only a plan table chooses. Without a GPU nothing runs, which
// is said with a count, and is a failure under DIFFUSE_REQUIRE_CUDA=1.
namespace diffuse::test {
namespace {

#ifdef DIFFUSE_CUDA_WGMMA
constexpr bool kBuiltWithWgmma = true;
#else
constexpr bool kBuiltWithWgmma = false;
#endif
constexpr std::size_t kWgmmaCases = 10;  // of a dtype

bool gpu_is_here() {
  std::string why;
  if (cuda_available(&why)) return true;
  const std::size_t cases = cuda_checks(DType::f32).size() + cuda_checks(DType::f16).size() +
                            cuda_checks(DType::bf16).size();
  std::cout << "not run: " << 2 * (cases + kWgmmaCases) << " cases on a GPU: " << why << "\n";
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

// What attention's wgmma kernel takes, of what the plan table has.
bool is_for_wgmma(const AttentionShape& shape) {
  const std::int64_t d = shape.head_dim;
  return !shape.causal && (d == 40 || d == 64 || d == 80 || d == 160);
}

// A device of a half dtype whose plan table has the shapes of all attention cases.
struct PlannedDevice {
  explicit PlannedDevice(DType dtype) {
    auto backend = make_backend("cuda", {});
    planner = &dynamic_cast<PlannedBackend&>(*backend).planner();
    device.emplace(std::move(backend), dtype);
    for (const Check& check : attention_checks(dtype)) check.run(*device, {0, check.entries});
  }
  Planner* planner = nullptr;
  std::optional<Device> device;
};

// Why attention by wgmma cannot be run here; empty if it can.
std::string lacks_wgmma(const Planner& planner) {
  if (planner.machine().capability != 90) return "the GPU is not of compute capability 9.0";
  return kBuiltWithWgmma ? "" : "this build is not for compute capability 9.0";
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

TEST_CASE("on the GPU attention by wgmma gives what its definition gives, alone and in a batch") {
  if (!gpu_is_here()) return;
  for (const DType dtype : {DType::f16, DType::bf16}) {
    PlannedDevice on(dtype);
    if (const std::string why = lacks_wgmma(*on.planner); !why.empty()) {
      std::cout << "not run: " << kWgmmaCases << " cases of attention by wgmma, " << name_of(dtype)
                << ": " << why << "\n";
      continue;
    }
    PlanTable table = on.planner->table();
    std::size_t count = 0;
    for (auto& [shape, choice] : table.attentions) {
      if (!is_for_wgmma(shape)) continue;
      choice = OwnAttention::wgmma;
      ++count;
    }
    CHECK(count == kWgmmaCases);
    on.planner->use(table);
    for (const Check& check : attention_checks(dtype)) {
      INFO("attention by wgmma, " << name_of(dtype) << ": " << check.what);
      check_values(*on.device, check, true);
      check_neighbours(*on.device, check);
    }
    std::cout << "attention by wgmma, " << name_of(dtype) << ": " << count << " cases\n";
  }
}

// Also of cuDNN's engines, where they are fastest. Tuning says what it drops as wrong.
TEST_CASE("on the GPU attention stays what it is when its kernels are chosen by the clock") {
  if (!gpu_is_here()) return;
  PlannedDevice on(DType::f16);
  std::map<std::string, int> chosen;
  const PlanTable before = on.planner->table();
  for (const auto& [shape, choice] : before.attentions) {
    if (!is_for_wgmma(shape)) continue;
    on.planner->tune(shape);
    const auto& best = on.planner->table().attentions.at(shape);
    ++chosen[!best ? "default" : std::holds_alternative<OwnAttention>(*best) ? "wgmma" : "cuDNN"];
  }
  on.planner->use(on.planner->table());
  for (const Check& check : attention_checks(DType::f16)) {
    INFO("attention tuned: " << check.what);
    check_values(*on.device, check, true);
    check_neighbours(*on.device, check);
  }
  for (const auto& [name, count] : chosen) {
    std::cout << "attention tuned: " << count << " shapes by " << name << "\n";
  }
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
