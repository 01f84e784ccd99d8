#include <catch2/catch.hpp>
#include <iostream>
#include <limits>

#include "core/base/error.hpp"
#include "tests/cuda_on_host/host_cuda.hpp"
#include "tests/cuda_on_host/host_kernels_backend.hpp"
#include "tests/cuda_on_host/kernel_checks.hpp"

// The op cases of tests/cases through the hand-written CUDA kernels, run on the host.
namespace diffuse::test {
namespace {

using host_cuda::Schedule;

struct Run {
  const char* name;
  DType dtype;
  bool tensor_cores;
  Schedule schedule;
};

// Tensor-core kernels under every schedule, the plain ones under one that mixes all orders.
const Run kRuns[] = {
    {"f32, shuffled", DType::f32, true, Schedule::shuffled},
    {"f16 with tensor cores, forward", DType::f16, true, Schedule::forward},
    {"f16 with tensor cores, reverse", DType::f16, true, Schedule::reverse},
    {"f16 with tensor cores, shuffled", DType::f16, true, Schedule::shuffled},
    {"bf16 with tensor cores, shuffled", DType::bf16, true, Schedule::shuffled},
    {"f16 without tensor cores, reverse", DType::f16, false, Schedule::reverse},
};

}  // namespace

TEST_CASE("every hand-written CUDA kernel gives what its op's definition gives") {
  int total = 0;
  for (const Run& run : kRuns) {
    Device device(std::make_unique<HostKernelsBackend>(run.tensor_cores), run.dtype);
    host_cuda::state().schedule = run.schedule;
    int count = 0;
    for (const Check& check : cuda_checks(run.dtype)) {
      INFO(run.name << ": " << check.op << ": " << check.what);
      check_values(device, check, false);
      ++count;
    }
    std::cout << run.name << ": " << count << " cases\n";
    total += count;
  }
  std::cout << "cuda kernels on the host: " << total << " cases, " << host_cuda::state().blocks
            << " blocks, " << host_cuda::state().mma << " mma instructions\n";
  CHECK(host_cuda::state().mma > 0);
}

TEST_CASE("attention by wgmma gives what its definition gives, whatever a picture's neighbours") {
  const Run runs[] = {
      {"f16, forward", DType::f16, true, Schedule::forward},
      {"f16, reverse", DType::f16, true, Schedule::reverse},
      {"f16, shuffled", DType::f16, true, Schedule::shuffled},
      {"bf16, shuffled", DType::bf16, true, Schedule::shuffled},
  };
  for (const Run& run : runs) {
    Device device(std::make_unique<HostKernelsBackend>(true, true), run.dtype);
    host_cuda::state().schedule = run.schedule;
    int taken = 0;
    for (const Check& check : attention_checks(run.dtype)) {
      INFO(run.name << ": " << check.what);
      const long before = host_cuda::state().wgmma;
      check_values(device, check, false);
      if (host_cuda::state().wgmma == before) continue;
      ++taken;
      if (run.dtype == DType::bf16) check_neighbours(device, check);
    }
    CHECK(taken == 11);
  }
  std::cout << "attention by wgmma on the host: " << host_cuda::state().wgmma << " products\n";
}

TEST_CASE("with the CUDA kernels too a picture's bytes do not depend on its neighbours") {
  host_cuda::state().schedule = Schedule::shuffled;
  Device device(std::make_unique<HostKernelsBackend>(true), DType::f16);
  for (const Check& check : cuda_checks(DType::f16)) {
    if (check.entries == 1) continue;
    INFO(check.op << ": " << check.what);
    check_neighbours(device, check);
  }
}

TEST_CASE("pixels of f16 latents, NaN and infinity among them") {
  host_cuda::state().schedule = Schedule::reverse;
  HostKernelsBackend backend(true);
  Ops ops(backend, DType::f16);
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values = {nan, inf, -inf, 1, -1, 0, 0.5F, 3, -3};
  const Tensor x = ops.make(DType::f16, {1, 1, 3, 3});
  ops.copy(ops.upload(values, {1, 1, 3, 3}), x);
  const Tensor y = ops.make(DType::u8, {1, 1, 3, 3});
  ops.pixels(x, y);
  CHECK(ops.begin_download(y)->take() ==
        std::vector<std::uint8_t>{0, 255, 0, 255, 0, 128, 191, 255, 0});
}

TEST_CASE("preparing a weight on the device refuses values that are not finite") {
  HostKernelsBackend backend(true);
  std::vector<float> values(3 * 5 * 3 * 3 * 50, 1.0F);
  values[6000] = std::numeric_limits<float>::infinity();
  values[6700] = std::numeric_limits<float>::quiet_NaN();
  const StoredWeight part{std::as_bytes(std::span(values)), DType::f32, {150, 5, 3, 3}};
  try {
    static_cast<void>(
        backend.prepare({&part, 1}, {.role = WeightRole::conv_kernel, .dtype = DType::f16}));
    FAIL("not refused");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()) == "non-finite value at element 6000");
  }
}

}  // namespace diffuse::test
