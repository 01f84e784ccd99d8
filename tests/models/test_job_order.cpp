// A picture depends on its job alone: the same latents and pixels, bit by bit, in any order of the
// jobs and with any neighbours in the batch.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "core/pipeline/stable_diffusion.hpp"
#include "kernels/make_backend.hpp"
#include "tests/models/module_goldens.hpp"

using namespace diffuse;

namespace {

constexpr int kPictures = 6;

// Jobs of three shapes, prompts of different lengths, each with a seed of its own; the first two
// share the empty negative prompt with the others, one has its own.
std::vector<RenderJob> some_jobs() {
  std::vector<RenderJob> jobs;
  const char* const prompts[kPictures] = {"a cat",  "two dogs on a red sofa",          "", "a cat",
                                          "a hill", "a ship in a storm, oil on canvas"};
  for (int i = 0; i < kPictures; ++i) {
    RenderJob job;
    job.index = i;
    job.prompt = prompts[i];
    job.negative_prompt = i == 4 ? "blurry" : "";
    job.seed = static_cast<std::uint64_t>(1000 - 137 * i);
    job.width = i == 1 ? 80 : 64;
    job.height = 64;
    job.num_inference_steps = 2;
    job.guidance_scale = i == 5 ? 1.0 : 7.5;
    job.scheduler = "euler_a";  // draws at every step
    jobs.push_back(job);
  }
  return jobs;
}

struct Result {
  std::vector<float> latents;
  std::vector<std::uint8_t> rgb;
};

std::map<std::int64_t, Result> render(StableDiffusion& model, const std::vector<RenderJob>& jobs,
                                      int batch_size) {
  std::map<std::int64_t, Result> results;
  for (const std::vector<std::size_t>& positions : make_batches(jobs, batch_size)) {
    std::vector<RenderJob> batch;
    for (const std::size_t position : positions) batch.push_back(jobs[position]);
    const std::vector<Latents> latents = model.denoise(batch, {});
    REQUIRE(latents.size() == batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      results[batch[i].index] = {latents[i].values, model.begin_decode(latents[i], {}).take().rgb};
    }
  }
  return results;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("pictures do not depend on the order of the jobs or on their neighbours") {
  const auto backend = make_backend("cpu", {.threads = 1, .force_isa = {}, .device_index = 0});
  StableDiffusion model(ModelFolder::open(test::data_path("models/tiny_sd1")), *backend,
                        {.dtype = DType::f32});
  std::vector<RenderJob> jobs = some_jobs();
  const std::map<std::int64_t, Result> alone = render(model, jobs, 1);
  REQUIRE(alone.size() == kPictures);
  REQUIRE_FALSE(same_bits(alone.at(0).latents, alone.at(3).latents));  // one prompt, two seeds

  const std::vector<std::vector<std::size_t>> orders = {
      {0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {3, 0, 5, 2, 4, 1}};
  for (const std::vector<std::size_t>& order : orders) {
    std::vector<RenderJob> shuffled;
    for (const std::size_t position : order) shuffled.push_back(jobs[position]);
    for (const int batch_size : {1, 2, 4}) {
      CAPTURE(order, batch_size);
      for (const auto& [index, result] : render(model, shuffled, batch_size)) {
        CAPTURE(index);
        CHECK(same_bits(result.latents, alone.at(index).latents));
        CHECK(result.rgb == alone.at(index).rgb);
      }
    }
  }
}
