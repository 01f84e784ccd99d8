#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "core/base/error.hpp"
#include "core/pipeline/render_job.hpp"

using namespace diffuse;

namespace {

using Batches = std::vector<std::vector<std::size_t>>;

RenderJob plain_job() {
  RenderJob job;
  job.width = 512;
  job.height = 512;
  job.num_inference_steps = 50;
  job.guidance_scale = 7.5;
  return job;
}

}  // namespace

TEST_CASE("lines become one job per picture") {
  PromptFields own;
  own.negative_prompt = "blurry";
  own.seed = 100;
  const std::vector<PromptEntry> lines = {
      {"a dog", 1, {}}, {"a cat", 4, std::make_shared<PromptFields>(own)}, {"", 5, {}}};
  ExpandSettings settings;
  settings.settings = plain_job();
  settings.settings.negative_prompt = "ugly";
  settings.base_seed = 1000;
  settings.num_images_per_prompt = 2;
  const auto jobs = expand_lines(lines, settings);
  REQUIRE(jobs.size() == 6);
  const std::int64_t line[] = {1, 1, 4, 4, 5, 5};
  const char* prompt[] = {"a dog", "a dog", "a cat", "a cat", "", ""};
  const char* negative[] = {"ugly", "ugly", "blurry", "blurry", "ugly", "ugly"};
  const std::uint64_t seed[] = {1000, 1001, 100, 101, 1004, 1005};
  const char* file[] = {"000000.png", "000001.png", "000002.png",
                        "000003.png", "000004.png", "000005.png"};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CAPTURE(i);
    CHECK(jobs[i].index == static_cast<std::int64_t>(i));
    CHECK(jobs[i].line == line[i]);
    CHECK(jobs[i].prompt == prompt[i]);
    CHECK(jobs[i].negative_prompt == negative[i]);
    CHECK(jobs[i].seed == seed[i]);
    CHECK(jobs[i].file_name == file[i]);
    CHECK(jobs[i].num_inference_steps == 50);
    CHECK_FALSE(jobs[i].padding);
  }
}

TEST_CASE("what a line says goes before the settings, and moves the lines after it") {
  PromptFields own;
  own.width = 256;
  own.height = 128;
  own.num_inference_steps = 7;
  own.guidance_scale = 0.5;
  own.scheduler = "euler";
  own.num_images_per_prompt = 3;
  own.name = "castle";
  own.metadata = "{\"id\":5}";
  own.seed = std::numeric_limits<std::uint64_t>::max();
  PromptFields wrong;
  wrong.mistake = "it is wrong";
  const std::vector<PromptEntry> lines = {{"a", 1, {}},
                                          {"b", 2, std::make_shared<PromptFields>(own)},
                                          {"", 3, std::make_shared<PromptFields>(wrong)},
                                          {"d", 4, {}}};
  ExpandSettings settings;
  settings.settings = plain_job();
  settings.base_seed = 10;
  settings.num_images_per_prompt = 2;
  settings.first_index = 100;
  const auto jobs = expand_lines(lines, settings);
  REQUIRE(jobs.size() == 9);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CHECK(jobs[i].index == static_cast<std::int64_t>(100 + i));
    const bool is_own = i >= 2 && i < 5;
    CHECK(jobs[i].width == (is_own ? 256 : 512));
    CHECK(jobs[i].height == (is_own ? 128 : 512));
    CHECK(jobs[i].num_inference_steps == (is_own ? 7 : 50));
    CHECK(jobs[i].guidance_scale == (is_own ? 0.5 : 7.5));
    CHECK(jobs[i].scheduler == (is_own ? "euler" : ""));
    CHECK(jobs[i].metadata == (is_own ? "{\"id\":5}" : ""));
    CHECK(jobs[i].seed == (is_own ? i - 3 : 110 + i));  // 2^64 - 1, 0, 1
    CHECK(jobs[i].mistake == (i == 5 || i == 6 ? "it is wrong" : ""));
  }
  CHECK(jobs[3].file_name == "000103-castle.png");
  CHECK(jobs[7].file_name == "000107.png");
}

TEST_CASE("rounds of a list continue its numbers") {
  const std::vector<PromptEntry> all = {{"a", 1, {}}, {"b", 2, {}}, {"c", 3, {}}};
  ExpandSettings settings;
  settings.base_seed = std::numeric_limits<std::uint64_t>::max();  // seeds wrap around
  settings.num_images_per_prompt = 3;
  const auto whole = expand_lines(all, settings);
  auto rounds = expand_lines(std::span(all).first(1), settings);
  settings.first_index = static_cast<std::int64_t>(rounds.size());
  const auto rest = expand_lines(std::span(all).subspan(1), settings);
  rounds.insert(rounds.end(), rest.begin(), rest.end());
  CHECK(rounds == whole);
  CHECK(whole[1].seed == 0);
}

TEST_CASE("impossible picture counts are refused before memory is taken") {
  const std::vector<PromptEntry> lines(6);
  ExpandSettings settings;
  for (const int count : {0, -1, std::numeric_limits<int>::max()}) {
    settings.num_images_per_prompt = count;
    CHECK_THROWS_AS(expand_lines(lines, settings), ConfigError);
  }
}

TEST_CASE("batches keep the order of the list") {
  const std::vector<RenderJob> jobs(7, plain_job());
  CHECK(make_batches(jobs, 1) == Batches{{0}, {1}, {2}, {3}, {4}, {5}, {6}});
  CHECK(make_batches(jobs, 3) == Batches{{0, 1, 2}, {3, 4, 5}, {6}});
  CHECK(make_batches(jobs, 100) == Batches{{0, 1, 2, 3, 4, 5, 6}});
  CHECK(make_batches({}, 4).empty());
  CHECK_THROWS_AS(make_batches(jobs, 0), ConfigError);
}

TEST_CASE("jobs of equal settings meet over the others between them") {
  std::vector<RenderJob> jobs(7, plain_job());
  for (const std::size_t i : {1U, 3U, 4U}) jobs[i].width = 768;
  CHECK(make_batches(jobs, 2) == Batches{{0, 2}, {1, 3}, {4}, {5, 6}});
}

TEST_CASE("each setting of the denoising loop parts a batch, the rest does not") {
  const auto batches = [](auto change) {
    std::vector<RenderJob> jobs(2, plain_job());
    change(jobs[1]);
    return make_batches(jobs, 2).size();
  };
  CHECK(batches([](RenderJob& job) { job.width = 520; }) == 2);
  CHECK(batches([](RenderJob& job) { job.height = 520; }) == 2);
  CHECK(batches([](RenderJob& job) { job.num_inference_steps = 49; }) == 2);
  CHECK(batches([](RenderJob& job) { job.guidance_scale = 1; }) == 2);
  CHECK(batches([](RenderJob& job) { job.guidance_rescale = 0.7; }) == 2);
  CHECK(batches([](RenderJob& job) { job.eta = 1; }) == 2);
  CHECK(batches([](RenderJob& job) { job.clip_skip = 1; }) == 2);
  CHECK(batches([](RenderJob& job) { job.scheduler = "euler"; }) == 2);
  CHECK(batches([](RenderJob& job) { job.prompt_weighting = true; }) == 2);
  CHECK(batches([](RenderJob& job) { job.mistake = "wrong"; }) == 2);

  CHECK(batches([](RenderJob& job) { job.eta = -0.0; }) == 1);
  CHECK(batches([](RenderJob& job) { job.prompt.push_back('x'); }) == 1);
  CHECK(batches([](RenderJob& job) { job.negative_prompt.push_back('x'); }) == 1);
  CHECK(batches([](RenderJob& job) { job.seed = 1; }) == 1);
  CHECK(batches([](RenderJob& job) { job.padding = true; }) == 1);
  CHECK(batches([](RenderJob& job) { job.name = "x"; }) == 1);
  CHECK(batches([](RenderJob& job) { job.metadata = "1"; }) == 1);
}

TEST_CASE("a NaN among the settings neither loses nor repeats a job") {
  std::vector<RenderJob> jobs(20, plain_job());
  for (std::size_t i = 0; i < jobs.size(); i += 3) {
    jobs[i].guidance_scale = std::numeric_limits<double>::quiet_NaN();
  }
  std::multiset<std::size_t> seen;
  for (const auto& batch : make_batches(jobs, 4)) seen.insert(batch.begin(), batch.end());
  std::multiset<std::size_t> want;
  for (std::size_t i = 0; i < jobs.size(); ++i) want.insert(i);
  CHECK(seen == want);
}
