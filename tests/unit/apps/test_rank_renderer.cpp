// Jobs that fail, and memory that is too small, with a stand-in for the model that fails on demand.
#include "apps/diffuse_batch/rank_renderer.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <limits>
#include <map>
#include <new>

#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using diffuse::test::TemporaryFolder;

namespace {

constexpr int kSide = 16;

/// Latents hold the index of their job; pictures are a ramp that begins there.
class StandIn final : public PictureMaker {
 public:
  using Batch = std::span<const RenderJob>;

  /// May throw, before the latents of a batch are made.
  std::function<void(Batch)> before_denoise = [](Batch) {};
  /// Whether this attempt at a job, counted from 1, comes to latents that are not finite.
  std::function<bool(std::int64_t index, int attempt)> spoils = [](std::int64_t, int) {
    return false;
  };
  std::function<void(std::int64_t index)> before_decode = [](std::int64_t) {};
  std::vector<std::size_t> batches;      // sizes of all that were begun
  std::map<std::int64_t, int> attempts;  // by index, those that came to latents

  std::vector<Latents> denoise(Batch batch, const StepObserver& between) override {
    batches.push_back(batch.size());
    if (!between(0, 1)) return {};
    before_denoise(batch);
    std::vector<Latents> latents;
    for (const RenderJob& job : batch) {
      const bool bad = spoils(job.index, ++attempts[job.index]);
      const float value =
          bad ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(job.index);
      latents.push_back({.values = {value}, .channels = 1, .height = kSide, .width = kSide});
    }
    return latents;
  }

  Image decode(const Latents& latents, const StepObserver& /*between*/) override {
    const auto index = static_cast<std::int64_t>(latents.values[0]);
    before_decode(index);
    Image image{kSide, kSide, {}};
    for (int i = 0; i < 3 * kSide * kSide; ++i) {
      image.rgb.push_back(static_cast<std::uint8_t>(index + i));
    }
    return image;
  }

  [[nodiscard]] CutPrompt cut_from(const RenderJob& /*job*/) const override { return {}; }
};

/// One rank's run over `count` jobs; what it came to.
struct Run {
  explicit Run(int batch_size, int retries = 0) {
    settings.options.output_dir = folder.path().string();
    settings.options.retries = retries;
    settings.batch_size = batch_size;
  }

  void render(int count) {
    std::vector<RenderJob> jobs;
    for (int i = 0; i < count; ++i) {
      RenderJob job;
      job.index = i;
      job.line = i + 1;
      job.prompt = "a cat";
      job.width = job.height = kSide;
      job.file_name = std::to_string(i) + ".png";
      jobs.push_back(job);
    }
    ResultSink sink(settings, 0, [this](const RenderResult& result) {
      ++told[result.index];
      results[result.index] = result;
    });
    FixedJobs source(std::move(jobs), settings.batch_size);
    RankRenderer renderer(maker, settings, 0, sink, [](int, int) {});
    code = renderer.render(source);
    problem = renderer.problem();
  }

  /// Whether exactly these indices are done, told once each and with a file, and those failed.
  void check(const std::vector<std::int64_t>& done, const std::vector<std::int64_t>& failed) {
    std::vector<std::int64_t> is_done, has_failed;
    for (const auto& [index, result] : results) {
      CHECK(told[index] == 1);
      const bool ok = result.status == RenderStatus::done;
      (ok ? is_done : has_failed).push_back(index);
      CHECK(std::filesystem::exists(folder.path() / (std::to_string(index) + ".png")) == ok);
      CHECK(result.error.empty() == ok);
    }
    CHECK(is_done == done);
    CHECK(has_failed == failed);
  }

  TemporaryFolder folder;
  RunSettings settings;
  StandIn maker;
  std::map<std::int64_t, RenderResult> results;
  std::map<std::int64_t, int> told;
  ExitCode code = ExitCode::ok;
  std::string problem;
};

using Sizes = std::vector<std::size_t>;

void only_fit(Run& run, std::size_t most, const std::function<void()>& refuse) {
  run.maker.before_denoise = [most, refuse](StandIn::Batch batch) {
    if (batch.size() > most) refuse();
  };
}

[[noreturn]] void throw_bad_alloc() { throw std::bad_alloc(); }

}  // namespace

TEST_CASE("a job that fails is tried again as often as asked for, without its neighbours") {
  const int retries = GENERATE(0, 1, 2, 5);
  CAPTURE(retries);
  Run run(2, retries);
  run.maker.spoils = [](std::int64_t index, int attempt) { return index == 1 && attempt <= 2; };
  run.render(5);
  const bool ok = retries >= 2;
  CHECK(run.code == (ok ? ExitCode::ok : ExitCode::some_failed));
  CHECK(run.problem.empty());
  if (ok) {
    run.check({0, 1, 2, 3, 4}, {});
  } else {
    run.check({0, 2, 3, 4}, {1});
    CHECK(run.results[1].error.find("not finite") != std::string::npos);
  }
  CHECK(run.maker.attempts ==
        std::map<std::int64_t, int>{{0, 1}, {1, std::min(retries, 2) + 1}, {2, 1}, {3, 1}, {4, 1}});
}

TEST_CASE("the last job of all is tried again too, and so is one that fails while it is decoded") {
  Run run(4, 1);
  run.maker.spoils = [](std::int64_t index, int attempt) { return index == 3 && attempt == 1; };
  bool once = true;
  run.maker.before_decode = [&](std::int64_t index) {
    if (index == 0 && std::exchange(once, false)) throw std::bad_alloc();
  };
  run.render(4);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3}, {});
}

TEST_CASE(
    "a file of the last batch that cannot be written is found out at the end, and tried again") {
  Run run(1, 1);
  const std::filesystem::path in_the_way = run.folder.path() / "2.png";
  std::filesystem::create_directory(in_the_way);
  int decoded = 0;
  run.maker.before_decode = [&](std::int64_t index) {
    if (index == 2 && ++decoded == 2) std::filesystem::remove(in_the_way);
  };
  run.render(3);
  CHECK(run.code == ExitCode::ok);
  CHECK(decoded == 2);
  run.check({0, 1, 2}, {});
}

TEST_CASE("where a batch does not fit into memory, it is halved until it does, and stays so") {
  Run run(8);
  SECTION("of the host") { only_fit(run, 2, throw_bad_alloc); }
  SECTION("of the device") {
    only_fit(run, 2, [] { throw DeviceError("no memory left on the GPU"); });
  }
  run.render(11);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {});
  CHECK(run.maker.batches == Sizes{8, 4, 2, 2, 2, 2, 2, 1});
}

TEST_CASE("an odd batch is halved upwards") {
  Run run(5);
  only_fit(run, 1, throw_bad_alloc);
  run.render(5);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3, 4}, {});
  CHECK(run.maker.batches == Sizes{5, 3, 2, 1, 1, 1, 1, 1});
}

TEST_CASE("a single picture that does not fit has failed, and the others go on") {
  Run run(2);
  run.maker.before_denoise = [](StandIn::Batch batch) {
    for (const RenderJob& job : batch) {
      if (job.index % 2 == 1) throw_bad_alloc();
    }
  };
  run.render(8);
  CHECK(run.code == ExitCode::some_failed);
  run.check({0, 2, 4, 6}, {1, 3, 5, 7});
  CHECK(run.results[1].error == "out of memory");
}

TEST_CASE("a picture whose decoding does not fit has failed, without its neighbours") {
  Run run(3);
  run.maker.before_decode = [](std::int64_t index) {
    if (index == 1) throw DeviceError("no memory left on the GPU");
  };
  run.render(3);
  CHECK(run.code == ExitCode::some_failed);
  run.check({0, 2}, {1});
  CHECK(run.results[1].error == "no memory left on the GPU");
}

TEST_CASE("three single pictures in a row that do not fit end the rank's work") {
  Run run(1);
  run.maker.before_denoise = [](StandIn::Batch batch) {
    if (batch.front().index >= 2) throw_bad_alloc();
  };
  run.render(8);
  CHECK(run.code == ExitCode::no_device);
  CHECK(run.problem == "out of memory");
  run.check({0, 1}, {2, 3, 4});  // the others stay open
}

TEST_CASE("a device that is lost ends the rank's work, and its jobs stay open") {
  Run run(2, 3);
  run.maker.before_denoise = [](StandIn::Batch batch) {
    if (batch.front().index == 4) throw DeviceError("it fell off the bus", ExitCode::device_lost);
  };
  run.render(8);
  CHECK(run.code == ExitCode::device_lost);
  CHECK(run.problem == "it fell off the bus");
  run.check({0, 1, 2, 3}, {});
}
