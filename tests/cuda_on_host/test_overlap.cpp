// Pictures decoded beside the denoising of the next batch, through the program's own code, on a
// stand-in for a GPU with two streams. The oracle is the same model on the CPU, one after the
// other.
#include <catch2/catch.hpp>
#include <deque>
#include <fstream>
#include <iterator>

#include "apps/diffuse_batch/rank_renderer.hpp"
#include "core/base/error.hpp"
#include "kernels/make_backend.hpp"
#include "tests/cuda_on_host/fake_runtime.hpp"
#include "tests/cuda_on_host/queued_backend.hpp"
#include "tests/unit/io/io_test_files.hpp"

namespace diffuse::test {
namespace {

using fake_cuda::runtime;

const char* const kModel = DIFFUSE_TEST_DATA "/models/tiny_sd1";

std::unique_ptr<Backend> cpu_backend() {
  return make_backend("cpu", {.threads = 1, .force_isa = {}, .device_index = 0});
}

std::vector<RenderJob> some_jobs(int count, int width = 64) {
  std::vector<RenderJob> jobs;
  for (int i = 0; i < count; ++i) {
    RenderJob job;
    job.index = i;
    job.line = i + 1;
    job.prompt = "a cat, number " + std::to_string(i);
    job.seed = 100 + static_cast<std::uint64_t>(i);
    job.width = width;
    job.height = 64;
    job.num_inference_steps = 3;
    job.guidance_scale = 7.5;
    job.scheduler = "euler_a";  // draws at every step
    job.file_name = std::to_string(i) + ".png";
    jobs.push_back(job);
  }
  return jobs;
}

std::string content(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Files of a rank that renders the jobs as on a GPU, in the order of the list.
std::vector<std::string> files_of(std::unique_ptr<Backend> backend,
                                  const std::vector<RenderJob>& jobs, int batch_size,
                                  const std::string& memory = "full") {
  const TemporaryFolder folder;
  Preparation prepared;
  prepared.folder.emplace(ModelFolder::open(kModel));
  prepared.backend = std::move(backend);
  prepared.settings.device = "cuda";
  prepared.settings.batch_size = batch_size;
  prepared.settings.options.memory = memory;
  prepared.settings.options.output_dir = folder.path().string();
  const auto maker = make_picture_maker(prepared);
  ResultSink sink(prepared.settings, 0, [](const RenderResult&) {});
  FixedJobs source(jobs, batch_size);
  RankRenderer renderer(*maker, prepared.settings, 0, sink, [](int, int) {});
  CHECK(renderer.render(source) == ExitCode::ok);
  std::vector<std::string> files;
  files.reserve(jobs.size());
  for (const RenderJob& job : jobs) files.push_back(content(folder.path() / job.file_name));
  return files;
}

/// Images of the jobs, made one by one on the CPU.
std::vector<std::vector<std::uint8_t>> images_on_cpu(const std::vector<RenderJob>& jobs) {
  const auto backend = cpu_backend();
  StableDiffusion model(ModelFolder::open(kModel), *backend, {.dtype = DType::f32});
  std::vector<std::vector<std::uint8_t>> images;
  for (const RenderJob& job : jobs) {
    const std::vector<Latents> latents = model.denoise({&job, 1}, {});
    images.push_back(model.begin_decode(latents.front(), {}).take().rgb);
  }
  return images;
}

/// A model on the stand-in whose decoder has a stream of its own.
struct TwoStreams {
  std::vector<PendingImage> begin(const std::vector<RenderJob>& jobs,
                                  const StepObserver& observe = {}) {
    std::vector<PendingImage> images;
    for (const Latents& one : model.denoise(jobs, observe)) {
      images.push_back(model.begin_decode(one, {}));
    }
    return images;
  }

  const fake_cuda::Runtime& fresh = (runtime() = {});  // before anything is made
  QueuedBackend backend;
  std::unique_ptr<Backend> beside = backend.beside();
  StableDiffusion model{
      ModelFolder::open(kModel), backend, {.dtype = DType::f32, .decoder_backend = beside.get()}};
};

}  // namespace

TEST_CASE("a rank that decodes beside the denoising writes the files of one that does not") {
  std::vector<RenderJob> jobs = some_jobs(9);
  // Another size, so that there are two programs of each kind.
  for (const std::size_t i : {std::size_t{4}, std::size_t{5}}) jobs[i].width = 80;
  // With --memory lean one stream does both in turn.
  const std::string memory = GENERATE("full", "lean");
  const std::vector<std::string> wanted = files_of(cpu_backend(), jobs, 1, memory);
  for (const int batch_size : {1, 2, 4}) {
    CAPTURE(memory, batch_size);
    runtime() = {};
    const auto files = files_of(std::make_unique<QueuedBackend>(), jobs, batch_size, memory);
    CHECK(runtime().streams == (memory == "full" ? 2 : 1));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      CAPTURE(i);
      CHECK_FALSE(files[i].empty());
      CHECK((files[i] == wanted[i]));
    }
    CHECK(runtime().captures > 0);
    CHECK(runtime().beside_capture == 0);
    CHECK(runtime().allocations == 0);
    CHECK(runtime().events == 0);
  }
}

TEST_CASE("only where it makes pictures on a GPU does a run decode beside the denoising") {
  RunSettings settings;
  settings.device = "cuda";
  CHECK(decodes_beside(settings));
  SECTION("not on CPUs, whose cores are all at work") { settings.device = "cpu"; }
  SECTION("not with --profile") { settings.options.profile = true; }
  SECTION("not with --memory lean") { settings.options.memory = "lean"; }
  SECTION("not where nothing is denoised") { settings.options.input_type = "latent"; }
  SECTION("not where nothing is decoded") { settings.options.output_type = "latent"; }
  CHECK_FALSE(decodes_beside(settings));
}

TEST_CASE("decodings wait for nobody, and for as long as nobody takes them") {
  const std::vector<RenderJob> jobs = some_jobs(6);
  const auto wanted = images_on_cpu(jobs);
  TwoStreams streams;
  std::vector<PendingImage> first = streams.begin({jobs[0], jobs[1]});
  for (const PendingImage& image : first) CHECK_FALSE(image.ready());
  std::vector<PendingImage> second = streams.begin({jobs[2], jobs[3]});
  first.erase(first.begin());  // nobody wants picture 0 any more
  std::vector<PendingImage> third = streams.begin({jobs[4], jobs[5]});
  CHECK((third[1].take().rgb == wanted[5]));
  for (const PendingImage& image : second) CHECK(image.ready());  // the stream came by
  CHECK((third[0].take().rgb == wanted[4]));
  CHECK((second[1].take().rgb == wanted[3]));
  CHECK((second[0].take().rgb == wanted[2]));
  CHECK((first[0].take().rgb == wanted[1]));
}

TEST_CASE("a decoding that is asked to stop is dropped, and the next one is whole") {
  const std::vector<RenderJob> jobs = some_jobs(1);
  const auto wanted = images_on_cpu(jobs);
  TwoStreams streams;
  const std::vector<Latents> latents = streams.model.denoise(jobs, {});
  // As it is, while it is captured, and before the graph is launched.
  for (const int ops : {5, 7, 0}) {
    int left = ops;
    const auto image = streams.model.begin_decode(latents[0], [&](int, int) { return left-- > 0; });
    CHECK(image.dropped());
    CHECK((streams.model.begin_decode(latents[0], {}).take().rgb == wanted[0]));
  }
}

TEST_CASE("where both arenas do not fit, one serves both and no picture is lost") {
  const std::vector<RenderJob> jobs = some_jobs(8);
  const auto wanted = images_on_cpu(jobs);
  const auto arena = [&](int pictures, bool beside) {
    const ModelFolder folder = ModelFolder::open(kModel);
    return StableDiffusion::need(folder, jobs[0], pictures, DType::f32, {.decoder_beside = beside})
        .arena;
  };
  const std::size_t decoding = arena(1, false);
  const std::size_t denoising = arena(1, true) - decoding;
  const std::size_t denoising_all = arena(8, false);
  REQUIRE(denoising < decoding / 2);
  REQUIRE(denoising_all > decoding);
  CHECK(arena(8, true) == denoising_all + decoding);

  std::size_t more = 0;  // that all pictures take at once, after one
  {
    TwoStreams trial;
    static_cast<void>(trial.begin({jobs[0]})[0].take());
    const std::size_t before = runtime().memory_used;
    static_cast<void>(trial.model.denoise(jobs, {}));
    more = runtime().memory_used - before;
  }
  TwoStreams streams;
  const auto leave = [](std::size_t bytes) { runtime().memory = runtime().memory_used + bytes; };
  SECTION("when the decoder asks for its own") {
    const std::vector<Latents> latents = streams.model.denoise({&jobs[0], 1}, {});
    leave(decoding - denoising / 2);
    CHECK((streams.model.begin_decode(latents[0], {}).take().rgb == wanted[0]));
  }
  SECTION("the same from the observer of a denoising") {
    const std::vector<Latents> latents = streams.model.denoise({&jobs[0], 1}, {});
    leave(decoding - denoising / 2);
    PendingImage image;
    const std::vector<Latents> next = streams.model.denoise({&jobs[1], 1}, [&](int step, int) {
      if (step == 1 && image.dropped()) image = streams.model.begin_decode(latents[0], {});
      return true;
    });
    CHECK((image.take().rgb == wanted[0]));
    CHECK((streams.model.begin_decode(next[0], {}).take().rgb == wanted[1]));
  }
  SECTION("when the denoiser asks for more") {
    std::vector<PendingImage> first = streams.begin({jobs[0]});
    leave(more - decoding / 2);
    const std::vector<Latents> latents = streams.model.denoise(jobs, {});
    CHECK((first[0].take().rgb == wanted[0]));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      CHECK((streams.model.begin_decode(latents[i], {}).take().rgb == wanted[i]));
    }
  }
  // From then on.
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}, std::size_t{1}}) {
    CHECK((streams.begin({jobs[i]})[0].take().rgb == wanted[i]));
  }
  CHECK(runtime().beside_capture == 0);
}

}  // namespace diffuse::test
