#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "core/base/error.hpp"
#include "core/pipeline/job_codec.hpp"

using namespace diffuse;

namespace {

/// Every field away from its default, so that one that is forgotten shows.
RenderJob full_job() {
  RenderJob job;
  job.index = 123'456'789'012;
  job.line = -2;
  job.prompt = std::string("a \xC3\xA9l\xC3\xA9phant\0with a NUL", 23);
  job.negative_prompt = "blurry";
  job.seed = std::numeric_limits<std::uint64_t>::max() - 1;
  job.width = 1024;
  job.height = 8;
  job.num_inference_steps = 33;
  job.guidance_scale = 7.1;
  job.guidance_rescale = -0.25;
  job.eta = 1e-300;
  job.clip_skip = 2;
  job.scheduler = "dpmpp_2m_karras";
  job.prompt_weighting = true;
  job.padding = true;
  job.input = "in/latents.safetensors";
  job.file_name = "000041.png";
  job.name = "castle";
  job.metadata = "{\"id\":5}";
  job.mistake = "the line is wrong";
  return job;
}

RenderResult full_result() {
  return {77, RenderStatus::failed, "out/\xFF.png", "it broke", 1ULL << 63, -5, 3};
}

template <class Call>
ExitCode code_of(Call call) {
  try {
    call();
  } catch (const MpiError& error) {
    return error.code();
  }
  return ExitCode::ok;
}

}  // namespace

TEST_CASE("jobs come out as they went in") {
  CHECK(unpack_jobs(pack_jobs({})).empty());
  RenderJob long_job = full_job();
  long_job.prompt = std::string(100'000, 'x');
  const std::vector<RenderJob> jobs = {full_job(), RenderJob{}, long_job};
  CHECK(unpack_jobs(pack_jobs(jobs)) == jobs);

  RenderJob strange;
  strange.guidance_scale = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(unpack_jobs(pack_jobs(std::vector{strange}))[0].guidance_scale));
}

TEST_CASE("results come out as they went in") {
  CHECK(unpack_results(pack_results({})).empty());
  const std::vector<RenderResult> results = {full_result(), RenderResult{}};
  CHECK(unpack_results(pack_results(results)) == results);
}

TEST_CASE("the bytes are those of the documented layout") {
  const std::vector<RenderResult> results = {{1, RenderStatus::failed, "ab", "", 258, 3, -1}};
  const unsigned char want[] = {
      'D', 'B', 'R', '1', 1, 0, 0, 0, 0,   0,   0, 0,              // magic, one record
      1,   0,   0,   0,   0, 0, 0, 0, 1,                           // index, status
      2,   0,   0,   0,   0, 0, 0, 0, 'a', 'b',                    // path
      0,   0,   0,   0,   0, 0, 0, 0,                              // error
      2,   1,   0,   0,   0, 0, 0, 0, 3,   0,   0, 0, 0, 0, 0, 0,  // seed, milliseconds
      255, 255, 255, 255};                                         // rank
  CHECK(pack_results(results) == std::string(std::begin(want), std::end(want)));
}

TEST_CASE("every cut of the bytes is refused, and so are bytes too many") {
  const std::vector<RenderJob> jobs = {full_job(), full_job()};
  const std::string bytes = pack_jobs(jobs);
  for (std::size_t size = 4; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(unpack_jobs(std::string_view(bytes).substr(0, size)), MpiError);
  }
  CHECK(code_of([&] { unpack_jobs(""); }) == ExitCode::bug);
  CHECK(code_of([&] { unpack_jobs(bytes + '\0'); }) == ExitCode::bug);
  CHECK(code_of([&] { unpack_results(bytes); }) == ExitCode::bug);
}

TEST_CASE("bytes of another version name the launcher") {
  std::string bytes = pack_jobs({});
  bytes[3] = '1';
  CHECK(code_of([&] { unpack_jobs(bytes); }) == ExitCode::launcher);
}

TEST_CASE("counts and lengths beyond the bytes do not allocate") {
  const std::string huge(8, '\xFF');
  std::string bytes = pack_results(std::vector{full_result()});
  CHECK(code_of([&] { unpack_results(std::string(bytes).replace(4, 8, huge)); }) == ExitCode::bug);
  CHECK(code_of([&] { unpack_results(std::string(bytes).replace(21, 8, huge)); }) == ExitCode::bug);
  bytes[4] = 2;  // one record more than there is
  CHECK(code_of([&] { unpack_results(bytes); }) == ExitCode::bug);
}

TEST_CASE("values that no enumerator has are refused") {
  std::string result = pack_results(std::vector{full_result()});
  result[20] = 2;
  CHECK(code_of([&] { unpack_results(result); }) == ExitCode::bug);

  std::string job = pack_jobs(std::vector<RenderJob>(1));
  const std::size_t flag = job.size() - 5 * 8 - 1;  // before five empty texts
  job[flag] = 1;
  CHECK(unpack_jobs(job)[0].padding);
  job[flag] = 2;
  CHECK(code_of([&] { unpack_jobs(job); }) == ExitCode::bug);
}

TEST_CASE("damage at random places throws or gives some jobs, nothing else") {
  const std::string bytes = pack_jobs(std::vector<RenderJob>(3, full_job()));
  std::mt19937 draw(5);
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = bytes;
    damaged[draw() % damaged.size()] = static_cast<char>(draw());
    damaged[draw() % damaged.size()] = static_cast<char>(draw());
    std::size_t count = 3;
    try {
      count = unpack_jobs(damaged).size();
    } catch (const MpiError&) {
    }
    REQUIRE(count == 3);
  }
}
