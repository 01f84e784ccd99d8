#include "apps/diffuse_batch/null_device.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "apps/version.hpp"

namespace diffuse {
namespace {

constexpr int kSide = 64;
constexpr int kBatch = 16;
constexpr std::chrono::milliseconds kSlice{20};  // between two looks for a request to stop

/// FNV-1a: stand-ins of different jobs are to differ, no more.
std::uint32_t hash_of(const RenderJob& job) {
  std::uint32_t hash = 2166136261U;
  const auto add = [&hash](unsigned char byte) { hash = (hash ^ byte) * 16777619U; };
  for (const char c : job.prompt) add(static_cast<unsigned char>(c));
  for (int shift = 0; shift < 64; shift += 8) {
    add(static_cast<unsigned char>(job.seed >> static_cast<unsigned>(shift)));
  }
  return hash;
}

class NullPictureMaker final : public PictureMaker {
 public:
  explicit NullPictureMaker(int milliseconds) : each_(milliseconds) {}

  std::vector<Latents> denoise(std::span<const RenderJob> batch,
                               const StepObserver& between) override {
    const auto end = std::chrono::steady_clock::now() + each_ * batch.size();
    for (auto now = std::chrono::steady_clock::now(); now < end;
         now = std::chrono::steady_clock::now()) {
      if (!between(0, 1)) return {};
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kSlice, end - now));
    }
    if (!between(0, 1)) return {};
    std::vector<Latents> latents;
    latents.reserve(batch.size());
    for (const RenderJob& job : batch) {
      const std::uint32_t hash = hash_of(job);
      // Whole numbers below 2^16, which a float holds exactly.
      latents.push_back(
          {.values = {static_cast<float>(hash >> 16U), static_cast<float>(hash & 0xFFFFU)},
           .channels = 2,
           .height = job.height,
           .width = job.width});
    }
    return latents;
  }

  PendingImage begin_decode(const Latents& latents, const StepObserver& /*between*/) override {
    auto state = static_cast<std::uint32_t>(latents.values[0]) << 16U |
                 static_cast<std::uint32_t>(latents.values[1]);
    std::vector<std::uint8_t> rgb;
    rgb.reserve(static_cast<std::size_t>(3 * latents.width * latents.height));
    for (std::int64_t i = 0; i < 3 * latents.width * latents.height; ++i) {
      state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
      rgb.push_back(static_cast<std::uint8_t>(state >> 24U));
    }
    return {static_cast<int>(latents.width), static_cast<int>(latents.height),
            std::make_unique<FinishedRead>(std::move(rgb))};
  }

  [[nodiscard]] CutPrompt cut_from(const RenderJob& /*job*/) const override { return {}; }

 private:
  std::chrono::milliseconds each_;
};

}  // namespace

void prepare_null_device(Preparation& prepared) {
  RunSettings& settings = prepared.settings;
  Options& o = settings.options;
  settings.model = "none";
  settings.fingerprint = "none";
  settings.device = "null";
  settings.instruction_set = "none";
  settings.dtype = DType::f32;
  settings.scheduler_class = o.scheduler.empty() ? "none" : o.scheduler;
  settings.labels = {"none", "Automatic", kProgramVersion};
  settings.latent_channels = 2;
  settings.scale_factor = 1;
  settings.batch_size = o.batch_size > 0 ? o.batch_size : kBatch;
  if (!o.width) o.width = kSide;
  if (!o.height) o.height = kSide;
  o.dtype = name_of(settings.dtype);
}

std::unique_ptr<PictureMaker> make_null_picture_maker(const Preparation& prepared) {
  return std::make_unique<NullPictureMaker>(prepared.settings.options.null_ms);
}

}  // namespace diffuse
