// What a model's weights take is known before they are loaded: ranks of a node reserve shared
// memory by it, and fill equal parts of it.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/pipeline/stable_diffusion.hpp"
#include "kernels/make_backend.hpp"
#include "tests/models/module_goldens.hpp"

namespace diffuse::test {
namespace {

// Gives memory, and notes how much.
class NotedWeights final : public WeightMemory {
 public:
  [[nodiscard]] Block next(std::size_t bytes) override {
    bytes_ += weight_block_bytes(bytes);
    return {std::shared_ptr<void>(std::aligned_alloc(64, weight_block_bytes(bytes)), &std::free)};
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

std::unique_ptr<Backend> cpu() {
  return make_backend("cpu", {.threads = 1, .force_isa = {}, .device_index = 0});
}

std::size_t bytes_counted(const ModelFolder& folder, DType dtype) {
  const std::unique_ptr<Backend> backend = cpu();
  const auto counted = std::make_shared<CountedWeights>();
  backend->place_weights(counted);
  StableDiffusion::load_shapes(folder, *backend, {.dtype = dtype});
  return counted->bytes();
}

std::size_t bytes_loaded(const ModelFolder& folder, DType dtype) {
  const std::unique_ptr<Backend> backend = cpu();
  const auto noted = std::make_shared<NotedWeights>();
  backend->place_weights(noted);
  const StableDiffusion model(folder, *backend, {.dtype = dtype});
  return noted->bytes();
}

std::size_t bytes_planned(const ModelFolder& folder, bool as_stored) {
  RenderJob job;
  job.width = job.height = 64;
  job.num_inference_steps = 1;
  return StableDiffusion::need(folder, job, 1, DType::f32, {.weights_as_stored = as_stored})
      .weights;
}

}  // namespace

TEST_CASE("weights are counted as they are loaded, in f32 and from f16") {
  for (const char* name : {"models/tiny_sd1", "models/tiny_sd2"}) {
    const ModelFolder folder = ModelFolder::open(data_path(name), {});
    for (const DType dtype : {DType::f32, DType::bf16}) {
      if (!cpu()->refuses(dtype).empty()) continue;
      INFO(name << " " << name_of(dtype));
      CHECK(bytes_counted(folder, dtype) == bytes_loaded(folder, dtype));
    }
  }
}

TEST_CASE("a plan counts weights as their file has them where a device holds them so") {
  const ModelFolder f32 = ModelFolder::open(data_path("models/tiny_sd1"), {});
  CHECK(bytes_planned(f32, true) == bytes_planned(f32, false));
  const ModelFolder f16 = ModelFolder::open(data_path("models/tiny_sd2"), {});
  CHECK(2 * bytes_planned(f16, true) == bytes_planned(f16, false));
}

}  // namespace diffuse::test
