#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "kernels/make_backend.hpp"
#include "tests/conformance/check.hpp"
#include "tests/conformance/tolerances.hpp"
#include "tests/support/compare.hpp"

namespace diffuse::test {
namespace {

/// A device and dtype that the case lists run on.
struct Variant {
  std::string name;
  std::function<std::unique_ptr<Backend>(int threads)> factory;
  DType dtype;
};

// oneDNN takes one instruction set a process, so ctest runs this program once for each
// (DIFFUSE_BATCH_ISA).
std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto factory = [](int threads) {
      return make_backend("cpu", {.threads = threads, .force_isa = {}, .device_index = 0});
    };
    const auto backend = factory(1);
    const std::string name = backend->numerics() + " " + std::string(name_of(dtype));
    if (const std::string why = backend->refuses(dtype); !why.empty()) {
      std::cout << name << ": not run: " << why << "\n";
      continue;
    }
    all.push_back({name, factory, dtype});
  }
  return all;
}

// Instruction sets that this machine lacks are reported, not run.
bool machine_lacks_isa() {
  try {
    static_cast<void>(make_backend("cpu", {}));
    return false;
  } catch (const std::exception& error) {
    std::cout << "not run: " << error.what() << "\n";
    return true;
  }
}

}  // namespace

std::vector<Check> all_checks(DType dtype) {
  std::vector<Check> checks;
  for (auto* list :
       {layer_checks, norm_checks, attention_checks, movement_checks, scheduler_checks}) {
    for (Check& check : list(dtype)) checks.push_back(std::move(check));
  }
  return checks;
}

TEST_CASE("every op gives what its definition gives") {
  if (machine_lacks_isa()) return;
  for (const Variant& variant : variants()) {
    Device device(variant.factory(2), variant.dtype);
    int count = 0;
    for (const Check& check : all_checks(variant.dtype)) {
      INFO(variant.name << ": " << check.op << ": " << check.what);
      const Array want = check.want();
      const double largest = [&] {
        double most = 0;
        for (const double v : want.values) most = std::max(most, std::abs(v));
        return most;
      }();
      const Tolerance tolerance = tolerance_of(check.op, variant.dtype);
      const std::vector<double> got = device.values(check.run(device, {0, check.entries}));
      const Comparison result =
          compare(std::span<const double>(got), std::span<const double>(want.values),
                  tolerance.of_largest * largest, tolerance.of_value);
      INFO(result.what);
      CHECK(result.ok);
      ++count;
    }
    std::cout << variant.name << ": " << count << " cases\n";
  }
}

TEST_CASE("a picture's bytes do not depend on its neighbours or on the number of threads") {
  if (machine_lacks_isa()) return;
  for (const Variant& variant : variants()) {
    Device one(variant.factory(1), variant.dtype);
    Device two(variant.factory(2), variant.dtype);
    for (const Check& check : all_checks(variant.dtype)) {
      INFO(variant.name << ": " << check.op << ": " << check.what);
      const auto batch = one.bytes(check.run(one, {0, check.entries}));
      CHECK(batch == two.bytes(check.run(two, {0, check.entries})));
      if (check.entries == 1) continue;
      std::vector<std::uint8_t> single;
      for (std::int64_t n = 0; n < check.entries; ++n) {
        Device& device = n % 2 == 0 ? one : two;
        const auto bytes = device.bytes(check.run(device, {n, n + 1}));
        single.insert(single.end(), bytes.begin(), bytes.end());
      }
      CHECK(batch == single);
    }
  }
}

}  // namespace diffuse::test
