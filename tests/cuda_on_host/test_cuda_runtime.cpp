// The host code of the CUDA backend that needs no GPU, on a runtime of our own.
#include <catch2/catch.hpp>
#include <cstring>
#include <stdexcept>

#include "core/base/error.hpp"
#include "kernels/cuda/graph_replay.hpp"
#include "kernels/cuda/pinned_reads.hpp"
#include "tests/cuda_on_host/fake_runtime.hpp"

namespace diffuse::cuda {
namespace {

using fake_cuda::runtime;

// A stream, and a body of three ops that write their numbers down when the stream performs them.
struct Replayed {
  Replayed() { runtime() = {}; }

  bool run() {
    return graphs.run(kept, [this] {
      ++bodies;
      for (int op = 0; op < 3; ++op) {
        if (op == throws_at) throw std::runtime_error("stopped");
        if (op == fails_at && fake_cuda::is_capturing(stream->get())) {
          throw DeviceError("not while capturing", ExitCode::device_lost);
        }
        if (op == leaves_at) return false;
        fake_cuda::enqueue(stream->get(), [this, op] { performed.push_back(op); });
      }
      return true;
    });
  }
  std::vector<int> all() {
    stream->wait();
    return performed;
  }

  std::shared_ptr<DeviceStream> stream = std::make_shared<DeviceStream>(0);
  GraphReplay graphs{*stream};
  std::vector<int> performed;
  int bodies = 0;
  int throws_at = -1, fails_at = -1, leaves_at = -1;
  std::unique_ptr<Replay> kept;
};

std::vector<int> times(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.insert(all.end(), {0, 1, 2});
  return all;
}

}  // namespace

TEST_CASE("a body runs as it is, is captured, and is launched from then on") {
  Replayed r;
  for (int i = 0; i < 10; ++i) CHECK(r.run());
  CHECK(r.bodies == 2);
  CHECK(runtime().captures == 1);
  CHECK(runtime().launches == 9);
  CHECK(r.all() == times(10));
  CHECK(runtime().graphs == 0);
  CHECK(runtime().executables == 1);

  // The owner says that addresses have changed.
  r.kept.reset();
  CHECK(runtime().executables == 0);
  for (int i = 0; i < 3; ++i) CHECK(r.run());
  CHECK(r.bodies == 4);
  CHECK(runtime().captures == 2);
  CHECK(r.all() == times(13));
}

TEST_CASE("the host is never further ahead than one graph") {
  Replayed r;
  CHECK(r.run());
  for (int i = 0; i < 20; ++i) {
    CHECK(r.run());
    CHECK(r.performed.size() >= static_cast<std::size_t>(3 * i));
  }
}

TEST_CASE("a body that ends early or throws while it is captured leaves a stream that works") {
  Replayed r;
  const bool by_throwing = GENERATE(false, true);
  (by_throwing ? r.throws_at : r.leaves_at) = 1;
  // In the first run too, after which nothing is known to be ready for a capture.
  for (const bool first : {true, false}) {
    const int captures = runtime().captures;
    if (by_throwing) {
      CHECK_THROWS_WITH(r.run(), "stopped");
    } else {
      CHECK_FALSE(r.run());
    }
    CHECK(runtime().captures == captures + (first ? 0 : 1));
    CHECK_FALSE(fake_cuda::is_capturing(r.stream->get()));
    CHECK(runtime().graphs == 0);
    CHECK(runtime().executables == 0);
    if (!first) break;
    static_cast<void>(r.all());
    r.performed.clear();
    const int was = by_throwing ? r.throws_at : r.leaves_at;
    r.throws_at = r.leaves_at = -1;
    CHECK(r.run());
    (by_throwing ? r.throws_at : r.leaves_at) = was;
  }
  r.throws_at = r.leaves_at = -1;
  for (int i = 0; i < 3; ++i) CHECK(r.run());
  CHECK(runtime().launches == 3);
  CHECK(r.all() == times(4));
}

TEST_CASE("what cannot be captured runs as it is, and nobody tries again") {
  Replayed r;
  const int how = GENERATE(0, 1, 2);
  if (how == 0) runtime().capture_fails = true;
  if (how == 1) runtime().instantiation_fails = true;
  if (how == 2) r.fails_at = 1;
  for (int i = 0; i < 5; ++i) CHECK(r.run());
  CHECK(runtime().launches == 0);
  CHECK(runtime().captures == (how == 0 ? 0 : 1));
  CHECK(runtime().graphs == 0);
  CHECK(r.all() == times(5));
}

TEST_CASE("bytes reach the device and come back, however late the stream copies") {
  runtime() = {};
  auto stream = std::make_shared<DeviceStream>(0);
  {
    Staging staging(*stream);
    std::vector<std::byte> all(3 * Staging::kBytes + 12345);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::byte>(i % 251);
    const std::shared_ptr<void> memory = stream->allocate(all.size());
    staging.write(all.data(), memory.get(), all.size());
    std::vector<std::byte> back(all.size());
    staging.read(memory.get(), back.data(), back.size());
    CHECK((all == back));
  }
  CHECK(runtime().allocations == 0);
  stream.reset();
  CHECK(runtime().events == 0);
}

TEST_CASE("reads under way have their own buffers, which are used again once they are free") {
  constexpr std::size_t kBytes = 1000;
  runtime() = {};
  auto stream = std::make_shared<DeviceStream>(0);
  {
    PinnedReads reads(*stream);
    const std::shared_ptr<void> memory = stream->allocate(kBytes);
    // Each read is of another value, and the next work of the stream overwrites it.
    const auto begin = [&](int value, std::size_t bytes) {
      fake_cuda::enqueue(stream->get(), [=] { std::memset(memory.get(), value, kBytes); });
      return reads.begin(memory.get(), bytes);
    };
    const auto all = [](int value, std::size_t bytes) {
      return std::vector<std::uint8_t>(bytes, static_cast<std::uint8_t>(value));
    };

    auto first = begin(1, kBytes);
    auto second = begin(2, kBytes);
    CHECK(runtime().pinned == 2);
    CHECK_FALSE(first->ready());  // the write is done now,
    CHECK(first->ready());        // and the copy
    CHECK_FALSE(second->ready());
    CHECK(second->take() == all(2, kBytes));
    CHECK(first->take() == all(1, kBytes));

    // A smaller one fits into a buffer that is free; given up before its copy, it holds on to it.
    first.reset();
    for (int i = 0; i < 4; ++i) fake_cuda::enqueue(stream->get(), [] {});
    begin(3, 10).reset();
    CHECK(runtime().pinned == 2);
    second.reset();
    auto third = begin(4, kBytes);
    auto fourth = begin(5, kBytes);
    CHECK(runtime().pinned == 3);
    CHECK(fourth->take() == all(5, kBytes));
    CHECK(third->take() == all(4, kBytes));

    // None of the buffers is large enough.
    third.reset();
    fourth.reset();
    const std::shared_ptr<void> large = stream->allocate(2 * kBytes);
    static_cast<void>(reads.begin(large.get(), 2 * kBytes)->take());
    CHECK(runtime().pinned == 4);
    CHECK(reads.begin(memory.get(), 0)->take().empty());
    stream->wait();
  }
  CHECK(runtime().allocations == 0);
  stream.reset();
  CHECK(runtime().events == 0);
}

TEST_CASE("a workspace that grows leaves what graphs were captured with in place") {
  runtime() = {};
  auto stream = std::make_shared<DeviceStream>(0);
  {
    DeviceWorkspace workspace(*stream);
    std::byte* first = workspace.reserve(100);
    CHECK(workspace.reserve(50) == first);
    std::byte* second = workspace.reserve(101);
    CHECK(second != first);
    CHECK(runtime().allocations == 2);
    CHECK(workspace.reserve(200) == second);
  }
  CHECK(runtime().allocations == 0);
}

TEST_CASE("what is wrong with a device is told with what to do") {
  runtime() = {};
  CHECK(problem_of_device(0).empty());
  CHECK(problem_of_device(5).empty());
  runtime().driver = 0;
  CHECK_THAT(problem_of_device(0),
             Catch::Contains("no NVIDIA driver") && Catch::Contains("--device cpu"));
  runtime() = {};
  runtime().driver = 11080;
  CHECK_THAT(problem_of_device(0),
             Catch::Contains("serves CUDA 11.8") && Catch::Contains("update the driver"));
  runtime() = {};
  runtime().devices = 0;
  CHECK_THAT(problem_of_device(0), Catch::Contains("CUDA_VISIBLE_DEVICES"));
  runtime() = {};
  runtime().major = 7;
  runtime().minor = 0;
  CHECK_THAT(problem_of_device(0),
             Catch::Contains("compute capability 7.0") && Catch::Contains("7.5"));
}

}  // namespace diffuse::cuda
