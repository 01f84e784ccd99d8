// How attention's kernel is chosen among candidates, on a runtime of our own.
#include <catch2/catch.hpp>
#include <cstring>
#include <set>

#include "core/base/half.hpp"
#include "kernels/cuda/attention_trial.hpp"
#include "tests/cuda_on_host/fake_runtime.hpp"

namespace diffuse::cuda {
namespace {

using fake_cuda::runtime;

AttentionShape packed_shape(DType dtype) {
  return {.batch = 3,
          .heads = 2,
          .head_dim = 40,
          .queries = 70,
          .keys = 77,
          .q_stride = 80,
          .k_stride = 160,
          .v_stride = 160,
          .y_stride = 96,
          .dtype = dtype,
          .causal = false};
}

std::uint16_t* row_of(const Tensor& t, std::int64_t row) {
  return reinterpret_cast<std::uint16_t*>(t.data<std::byte>()) + row * t.row_stride();
}

// Stands for a kernel: every output is the query above it, which takes a while. `skips` rows at the
// end, and one value is `off`: by how many units in the last place.
struct Kernel {
  double milliseconds = 1;
  std::int64_t skips = 0;
  int off = 0;
  bool applies = true;
  int runs = 0;

  AttentionCandidate candidate(DeviceStream& stream) {
    return {"a kernel", [this, &stream](const AttentionOp& op) {
              if (!applies) return false;
              ++runs;
              fake_cuda::enqueue(stream.get(), [this, op] { perform(op); });
              return true;
            }};
  }
  void perform(const AttentionOp& op) const {
    runtime().milliseconds += milliseconds;
    const std::int64_t rows = op.y.shape().rows();
    for (std::int64_t r = 0; r < rows - skips; ++r) {
      std::memcpy(row_of(op.y, r), row_of(op.q, r),
                  static_cast<std::size_t>(op.y.shape().back()) * 2);
    }
    // The largest that there is, 2 (in both dtypes), whose units are those that are allowed twice.
    constexpr std::uint16_t kTwo = 0x4000;
    for (std::int64_t r = 0; r < rows && off != 0; ++r) {
      std::uint16_t* row = row_of(op.y, r);
      for (std::int64_t i = 0; i < op.y.shape().back(); ++i) {
        if (row[i] != kTwo) continue;
        row[i] = static_cast<std::uint16_t>(kTwo + off);
        return;
      }
    }
  }
};

std::optional<std::size_t> choose(std::vector<Kernel>& kernels, DType dtype = DType::f16) {
  runtime() = {};
  const auto stream = std::make_shared<DeviceStream>(0);
  std::vector<AttentionCandidate> candidates;
  candidates.reserve(kernels.size());
  for (Kernel& kernel : kernels) candidates.push_back(kernel.candidate(*stream));
  const auto best = fastest_attention(*stream, packed_shape(dtype), candidates);
  stream->wait();
  CHECK(runtime().allocations == 0);
  return best;
}

std::optional<std::size_t> choose(std::vector<Kernel>&& kernels, DType dtype = DType::f16) {
  return choose(kernels, dtype);
}

}  // namespace

TEST_CASE("attention's kernel is the fastest of those that agree with the trusted one") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 3}, {.milliseconds = 2}}, dtype) == 2U);
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 6}}, dtype) == 0U);
    // Rounding is no disagreement.
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 3, .off = 2}}, dtype) == 1U);
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 3, .off = 3}}, dtype) == 0U);
    // A row that is not written, or not a number.
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 3, .skips = 1}}, dtype) == 0U);
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 3, .off = 0x3FFF}}, dtype) == 0U);
    // The next best is taken.
    CHECK(choose({{.milliseconds = 5}, {.milliseconds = 1, .skips = 1}, {.milliseconds = 4}},
                 dtype) == 2U);
  }
}

TEST_CASE("a kernel that disagrees or does not apply is never timed") {
  std::vector<Kernel> kernels = {{}, {.skips = 1}, {.applies = false}, {.milliseconds = 0.5}};
  CHECK(choose(kernels) == 3U);
  CHECK(kernels[1].runs == 1);
  CHECK(kernels[2].runs == 0);
  CHECK(kernels[3].runs > 5);
}

TEST_CASE("attention's candidates meet random operands with rows as far apart as the shape says") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    runtime() = {};
    const auto stream = std::make_shared<DeviceStream>(0);
    std::set<float> values;
    std::set<std::vector<std::uint16_t>> rows;
    const AttentionCandidate looks = {"looks", [&](const AttentionOp& op) {
                                        stream->wait();
                                        CHECK(op.heads == 2);
                                        CHECK(op.q.row_stride() == 80);
                                        CHECK(op.v.row_stride() == 160);
                                        CHECK(op.y.row_stride() == 96);
                                        for (const Tensor& t : {op.q, op.k, op.v}) {
                                          for (std::int64_t r = 0; r < t.shape().rows(); ++r) {
                                            const std::uint16_t* row = row_of(t, r);
                                            rows.emplace(row, row + 80);
                                            for (int i = 0; i < 80; ++i) {
                                              values.insert(dtype == DType::f16
                                                                ? float_from_f16(row[i])
                                                                : float_from_bf16(row[i]));
                                            }
                                          }
                                        }
                                        return true;
                                      }};
    static_cast<void>(fastest_attention(*stream, packed_shape(dtype), {looks}));
    CHECK(rows.size() == 3 * (70 + 77 + 77));
    CHECK(values.size() == 257);
    CHECK(*values.begin() == -2);
    CHECK(*values.rbegin() == 2);
  }
}

}  // namespace diffuse::cuda
