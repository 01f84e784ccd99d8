#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>

#include "core/base/error.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/io/png_check.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;

namespace {

PictureJob some_job() {
  PictureJob job;
  job.prompt = "a lovely cat, (red:1.2) hat";
  job.seed = 42;
  job.width = 512;
  job.height = 384;
  job.num_inference_steps = 20;
  job.guidance_scale = 7;
  job.scheduler = "EulerAncestralDiscreteScheduler";
  job.dtype = "f32";
  job.device_type = "cpu";
  job.instruction_set = "avx2";
  job.model_fingerprint = "0123abcd";
  return job;
}

const PictureLabels kLabels{"Euler a", "Automatic", "0.1.0"};

std::string png_with(const std::vector<PngText>& texts) {
  const auto bytes = encode_png(9, 5, gradient(9, 5), texts);
  return {bytes.begin(), bytes.end()};
}

PngCheck checked(const std::filesystem::path& folder, const std::string& bytes) {
  put(folder / "x.png", bytes);
  return check_png(folder / "x.png");
}

}  // namespace

TEST_CASE("the parameters text is the webui's") {
  PictureJob job = some_job();
  CHECK(parameters_text(job, kLabels) ==
        "a lovely cat, (red:1.2) hat\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 42, "
        "Size: 512x384, RNG: CPU, Version: diffuse-batch 0.1.0");
  job.negative_prompt = "blurry";
  job.guidance_scale = 7.5;
  job.clip_skip = 1;  // the webui counts it as 2
  job.seed = std::numeric_limits<std::uint64_t>::max();
  job.noise_source = "cuda";
  job.eta = 0.3;
  job.guidance_rescale = 0.7;
  CHECK(parameters_text(job, {"DPM++ 2M", "Karras", "0.1.0, odd: \"x\""}) ==
        "a lovely cat, (red:1.2) hat\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, "
        "Seed: 18446744073709551615, Size: 512x384, Clip skip: 2, RNG: NV, Eta DDIM: 0.3, "
        "Guidance rescale: 0.7, Version: \"diffuse-batch 0.1.0, odd: \\\"x\\\"\"");
  job.noise_grid = 125'952;
  job.clip_skip = 0;
  job.prompt = std::string("n\0l", 3);
  const std::string text = parameters_text(job, kLabels);
  CHECK(text.find("RNG") == std::string::npos);
  CHECK(text.find("Clip skip") == std::string::npos);
  CHECK(text.substr(0, 3) == "n l");
}

TEST_CASE("the webui's reader finds every pair of the last line") {
  PictureJob job = some_job();
  job.negative_prompt = "Steps: 3, ugly";
  const std::string text = parameters_text(job, kLabels);
  const std::string line = text.substr(text.rfind('\n') + 1);
  // re_param of the webui's infotext reader.
  const std::regex pair(R"re(\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$))re");
  std::vector<std::string> keys;
  for (std::sregex_iterator at(line.begin(), line.end(), pair), end; at != end; ++at) {
    keys.push_back((*at)[1]);
  }
  CHECK(keys == std::vector<std::string>{"Steps", "Sampler", "Schedule type", "CFG scale", "Seed",
                                         "Size", "RNG", "Version"});
}

TEST_CASE("a job comes back from its chunk, and every field changes its hash") {
  PictureJob job = some_job();
  job.prompt = "caf\xC3\xA9 \xE7\x8C\xAB \xF0\x9F\x90\x88 \"quoted\" \\ back\nline";
  job.seed = std::numeric_limits<std::uint64_t>::max();
  job.guidance_scale = 0.1;
  const auto recorded = parse_job_chunk(job_chunk_text(job, "0.1.0"));
  REQUIRE(recorded.has_value());
  CHECK(recorded->job == job);
  CHECK(recorded->hash == job_hash(job));
  CHECK(recorded->program_version == "0.1.0");
  CHECK(job_hash(job).size() == 64);

  std::vector<PictureJob> others(17, job);
  others[0].prompt += "x";
  others[1].negative_prompt = "x";
  others[2].seed -= 1;
  others[3].width += 8;
  others[4].height += 8;
  others[5].num_inference_steps += 1;
  others[6].guidance_scale += 0.5;
  others[7].guidance_rescale = 0.5;
  others[8].eta = 1;
  others[9].clip_skip = 1;
  others[10].scheduler = "DDIMScheduler";
  others[11].noise_source = "cuda";
  others[12].noise_grid = 1;
  others[13].dtype = "bf16";
  others[14].device_type = "cuda";
  others[15].instruction_set = "avx512";
  others[16].model_fingerprint = "x";
  for (const PictureJob& other : others) {
    CHECK(job_hash(other) != job_hash(job));
    const auto read = parse_job_chunk(job_chunk_text(other, "0.1.0"));
    REQUIRE(read.has_value());
    CHECK(read->job == other);
  }
  job.prompt = "\xFF";
  CHECK_THROWS_AS(job_json(job), Error);
}

TEST_CASE("the hash is what it was: pictures of earlier versions are found again") {
  // sha256sum of the line that the first CHECK spells out.
  CHECK(job_json(some_job()) ==
        R"({"clip_skip":-1,"device_type":"cpu","dtype":"f32","eta":0.0,"guidance_rescale":0.0,)"
        R"("guidance_scale":7.0,"height":384,"instruction_set":"avx2",)"
        R"("model_fingerprint":"0123abcd","negative_prompt":"","noise_grid":null,)"
        R"("noise_source":"cpu","num_inference_steps":20,)"
        R"("prompt":"a lovely cat, (red:1.2) hat",)"
        R"("scheduler":"EulerAncestralDiscreteScheduler","seed":42,"width":512})");
  CHECK(job_hash(some_job()) == "b8dbee10dca0d028b0b9c24a2188f9111a0fbbcdca131175d8706b90ceea4d29");
}

TEST_CASE("chunks that are none of ours") {
  using nlohmann::json;
  const std::string good = job_chunk_text(some_job(), "0.1.0");
  CHECK(parse_job_chunk(good).has_value());
  for (std::size_t n = 0; n < good.size(); ++n) CHECK_FALSE(parse_job_chunk(good.substr(0, n)));
  CHECK_FALSE(parse_job_chunk(std::string(1'000'000, '[')));
  CHECK_FALSE(parse_job_chunk("[]"));
  CHECK_FALSE(parse_job_chunk("null"));
  for (const char* field : {"seed", "width", "prompt", "guidance_scale", "noise_grid"}) {
    json chunk = json::parse(good);
    chunk["job"].erase(field);
    CHECK_FALSE(parse_job_chunk(chunk.dump()));
    chunk["job"][field] = json::array();
    CHECK_FALSE(parse_job_chunk(chunk.dump()));
  }
  json chunk = json::parse(good);
  chunk["job"]["width"] = 1'000'000'000'000;
  CHECK_FALSE(parse_job_chunk(chunk.dump()));
  chunk = json::parse(good);
  chunk["job"]["prompt"] = "another";  // does not fit the hash
  CHECK_FALSE(parse_job_chunk(chunk.dump()));
  chunk = json::parse(good);
  chunk["format"] = 2;
  CHECK_FALSE(parse_job_chunk(chunk.dump()));
}

TEST_CASE("a whole picture is recognised with its job") {
  const TemporaryFolder folder;
  PictureJob job = some_job();
  for (const char* prompt : {"plain", "caf\xC3\xA9", "\xE7\x8C\xAB"}) {
    job.prompt = prompt;
    const PngCheck check = checked(folder.path(), png_with(picture_texts(job, kLabels)));
    CHECK(check.status == PngStatus::whole);
    CHECK(check.problem.empty());
    CHECK(check.width == 9);
    CHECK(check.height == 5);
    CHECK(check.texts == picture_texts(job, kLabels));
    REQUIRE(recorded_job(check.texts).has_value());
    CHECK(recorded_job(check.texts)->job == job);
  }
}

TEST_CASE("a picture cut anywhere is torn, one with any byte changed is not whole") {
  const TemporaryFolder folder;
  const std::string good = png_with({{"key", "text"}, {"wide", "\xE7\x8C\xAB"}});
  for (std::size_t n = 0; n < good.size(); ++n) {
    INFO("length " << n);
    CHECK(checked(folder.path(), good.substr(0, n)).status == PngStatus::torn);
  }
  for (std::size_t n = 0; n < good.size(); ++n) {
    std::string bad = good;
    bad[n] = static_cast<char>(bad[n] ^ 0x41);
    INFO("byte " << n);
    CHECK(checked(folder.path(), bad).status == (n < 8 ? PngStatus::foreign : PngStatus::torn));
  }
}

TEST_CASE("what else may stand under the name of a picture") {
  const TemporaryFolder folder;
  const std::string good = png_with({});
  CHECK(check_png(folder.path() / "none.png").status == PngStatus::missing);
  CHECK(check_png(folder.path()).status == PngStatus::not_a_file);
  REQUIRE(::mkfifo((folder.path() / "pipe").c_str(), 0600) == 0);
  CHECK(check_png(folder.path() / "pipe").status == PngStatus::not_a_file);
  CHECK(check_png("/dev/zero").status == PngStatus::not_a_file);
  CHECK(checked(folder.path(), std::string(5000, '\0')).status == PngStatus::torn);
  CHECK(checked(folder.path(), "somebody's notes").status == PngStatus::foreign);
  CHECK(checked(folder.path(), good + "x").status == PngStatus::foreign);
  CHECK(checked(folder.path(), good).status == PngStatus::whole);
  // A chunk that claims 2 GiB costs nothing.
  std::string hostile = good.substr(0, 33);
  hostile += std::string("\x7F\xFF\xFF\xFF", 4) + "tEXtabc";
  CHECK(checked(folder.path(), hostile).status == PngStatus::torn);
}

TEST_CASE("weighting of prompts is part of a job, and said only where it holds") {
  PictureJob job = some_job();
  CHECK(job_json(job).find("weighting") == std::string::npos);
  PictureJob weighted = job;
  weighted.prompt_weighting = true;
  CHECK(job_hash(weighted) != job_hash(job));
  const std::string text = job_chunk_text(weighted, "0.1.0");
  const auto read = parse_job_chunk(text);
  REQUIRE(read);
  CHECK(read->job == weighted);
  std::string other = text;
  other.replace(other.find("webui"), 5, "other");
  CHECK_FALSE(parse_job_chunk(other));
}
