// One rank's run with a stand-in for the model that fails, or comes late, on demand.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/diffuse_batch/rank_renderer.hpp"
#include "tests/unit/io/io_test_files.hpp"

namespace diffuse::test {

inline constexpr int kSide = 16;

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
  /// May throw, before the pixels are given away.
  std::function<void(std::int64_t index)> before_take = [](std::int64_t) {};
  /// How often its decoding is looked at in vain. Waiting for it brings it about.
  std::function<int(std::int64_t index)> looks_in_vain = [](std::int64_t) { return 0; };
  std::function<bool(std::int64_t index)> is_one_colour = [](std::int64_t) { return false; };
  int steps = 1;
  std::vector<std::size_t> batches;      // sizes of all that were begun
  std::map<std::int64_t, int> attempts;  // by index, those that came to latents
  std::vector<std::string> events;       // "denoise 2" pictures, "step", "begin 0", "take 0"

  std::vector<Latents> denoise(Batch batch, const StepObserver& between) override {
    batches.push_back(batch.size());
    events.push_back("denoise " + std::to_string(batch.size()));
    before_denoise(batch);
    for (int step = 0; step < steps; ++step) {
      for (int op = 0; op < 2; ++op) {
        if (!between(step, steps)) return {};
      }
      events.emplace_back("step");
    }
    std::vector<Latents> latents;
    for (const RenderJob& job : batch) {
      const bool bad = spoils(job.index, ++attempts[job.index]);
      const float value =
          bad ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(job.index);
      latents.push_back({.values = {value}, .channels = 1, .height = kSide, .width = kSide});
    }
    return latents;
  }

  PendingImage begin_decode(const Latents& latents, const StepObserver& between) override {
    const auto index = static_cast<std::int64_t>(latents.values[0]);
    before_decode(index);
    if (!between(0, 1)) return {};
    events.push_back("begin " + std::to_string(index));
    return {kSide, kSide, std::make_unique<LateRead>(*this, index)};
  }

  [[nodiscard]] CutPrompt cut_from(const RenderJob& /*job*/) const override { return {}; }

 private:
  class LateRead final : public PendingRead {
   public:
    LateRead(StandIn& maker, std::int64_t index)
        : maker_(maker), index_(index), looks_left_(maker.looks_in_vain(index)) {}
    bool ready() override { return looks_left_-- <= 0; }
    std::vector<std::uint8_t> take() override {
      maker_.events.push_back("take " + std::to_string(index_));
      maker_.before_take(index_);
      std::vector<std::uint8_t> rgb(std::size_t{3} * kSide * kSide, 7);
      for (std::size_t i = 0; i < rgb.size() && !maker_.is_one_colour(index_); ++i) {
        rgb[i] = static_cast<std::uint8_t>(static_cast<std::size_t>(index_) + i);
      }
      return rgb;
    }

   private:
    StandIn& maker_;
    std::int64_t index_;
    int looks_left_;
  };
};

/// One rank's run over `count` jobs; what it came to.
struct Run {
  explicit Run(int batch_size, int retries = 0) {
    settings.options.output_dir = folder.path().string();
    settings.options.retries = retries;
    settings.batch_size = batch_size;
  }

  /// `pads`: how many of them, at the end, only keep the ranks in step.
  void render(int count, int pads = 0) {
    std::vector<RenderJob> jobs;
    for (int i = 0; i < count; ++i) {
      RenderJob job;
      job.index = i;
      job.line = i + 1;
      job.prompt = "a cat";
      job.width = job.height = kSide;
      job.file_name = std::to_string(i) + ".png";
      job.padding = i >= count - pads;
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

}  // namespace diffuse::test
