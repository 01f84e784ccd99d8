// Prompt weighting against a Python reference of the web UI's rules and transformers' text encoder.
// Goldens: scripts/reference/make_weighting_goldens.py.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/pipeline/checkpoint_source.hpp"
#include "core/pipeline/stable_diffusion.hpp"
#include "core/pipeline/text_phase.hpp"
#include "core/text/prompt_weights.hpp"
#include "kernels/make_backend.hpp"
#include "tests/models/module_goldens.hpp"
#include "tests/support/compare.hpp"

using namespace diffuse;

namespace {

struct Model {
  explicit Model(const std::string& name)
      : folder(ModelFolder::open(test::data_path("models/" + name).string())),
        tokenizer(ClipTokenizer::load(folder.tokenizer_folder())),
        configs(read_configs(folder, tokenizer)),
        backend(make_backend("cpu", {})),
        ops(*backend, DType::f32),
        arena(*backend) {
    CheckpointSource source(folder.weights(Component::text_encoder));
    text_encoder = ClipTextModel::load(WeightReader(source, ops), configs.text_encoder);
  }

  ModelFolder folder;
  ClipTokenizer tokenizer;
  StableDiffusionConfigs configs;
  std::unique_ptr<Backend> backend;
  Ops ops;
  Arena arena;
  ClipTextModel text_encoder;
};

nlohmann::json cases_of(const std::string& model) {
  std::ifstream file(test::data_path("goldens/weighting_" + model + ".json"));
  return nlohmann::json::parse(file);
}

}  // namespace

TEST_CASE("weights and chunks of prompts are those of the published rules") {
  const std::string name = GENERATE("tiny_sd1", "tiny_sd2");
  const ClipTokenizer tokenizer = ClipTokenizer::load(
      ModelFolder::open(test::data_path("models/" + name).string()).tokenizer_folder());
  for (const auto& golden : cases_of(name)) {
    const auto prompt = golden.at("prompt").get<std::string>();
    CAPTURE(name, prompt);
    std::vector<WeightedText> got;
    for (WeightedText& piece : parse_prompt_weights(prompt)) {
      if (piece.is_break || !piece.text.empty()) got.push_back(std::move(piece));
    }
    const auto& pieces = golden.at("pieces");
    REQUIRE(got.size() == pieces.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].text == pieces[i][0].get<std::string>());
      CHECK(got[i].weight == Approx(pieces[i][1].get<double>()).epsilon(1e-12));
      CHECK(got[i].is_break == pieces[i][2].get<bool>());
    }
    const WeightedTokens tokens = weighted_tokens(tokenizer, prompt);
    const auto& chunks = golden.at("chunks");
    REQUIRE(tokens.chunks.size() == chunks.size());
    CHECK(tokens.cut_text.empty());
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      CAPTURE(i);
      CHECK(tokens.chunks[i].ids == chunks[i][0].get<std::vector<std::int32_t>>());
      const auto weights = chunks[i][1].get<std::vector<double>>();
      REQUIRE(tokens.chunks[i].weights.size() == weights.size());
      for (std::size_t k = 0; k < weights.size(); ++k) {
        CHECK(tokens.chunks[i].weights[k] == Approx(weights[k]).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE(
    "weighted hidden states are transformers' rows, weighted and brought back to their mean") {
  const std::string name = GENERATE("tiny_sd1", "tiny_sd2");
  Model m(name);
  TextPhase phase(m.ops, m.arena, m.text_encoder, m.tokenizer);
  const test::Goldens goldens("weighting_" + name + ".safetensors");
  const auto cases = cases_of(name);
  std::size_t compared = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string key = "prompt." + std::to_string(i);
    if (!goldens.has(key)) continue;
    const auto prompt = cases[i].at("prompt").get<std::string>();
    CAPTURE(name, prompt);
    const TextPhase::Request request{prompt, 0, true};
    const auto got = phase.encode({&request, 1}).front();
    const std::vector<float> want = goldens.values(key);
    REQUIRE(got->sequence.size() == want.size());
    CHECK(got->tokens == goldens.shape(key)[0]);
    float largest = 0;
    for (const float value : want) largest = std::max(largest, std::abs(value));
    // The factor that restores the mean enlarges errors where the mean is near 0.
    const auto result = test::compare(std::span<const float>(got->sequence),
                                      std::span<const float>(want), 5e-5 * double{largest}, 0);
    INFO(result.what);
    CHECK(result.ok);
    ++compared;
  }
  CHECK(compared > 8);
}

TEST_CASE(
    "a prompt without brackets is the same with and without weighting, whatever its company") {
  Model m("tiny_sd1");
  TextPhase phase(m.ops, m.arena, m.text_encoder, m.tokenizer);
  const std::vector<TextPhase::Request> requests = {{"a cat", 0, false},
                                                    {"a cat", 0, true},
                                                    {"a (cat)", 0, true},
                                                    {"a BREAK b", 0, true},
                                                    {"a (cat)", 0, false}};
  const auto together = phase.encode(requests);
  CHECK(together[0]->sequence == together[1]->sequence);
  CHECK(together[2]->sequence != together[1]->sequence);
  CHECK(together[4]->sequence != together[2]->sequence);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    TextPhase alone(m.ops, m.arena, m.text_encoder, m.tokenizer);
    CHECK(alone.encode({&requests[i], 1}).front()->sequence == together[i]->sequence);
  }

  // The shorter half is filled up with the empty text.
  auto negative = together[0];
  auto positive = together[3];
  phase.match_lengths(negative, 0, positive, 0);
  CHECK(positive == together[3]);
  REQUIRE(negative->tokens == 154);
  const TextPhase::Request nothing{"", 0, false};
  std::vector<float> want = together[0]->sequence;
  const auto empty = phase.encode({&nothing, 1}).front();
  want.insert(want.end(), empty->sequence.begin(), empty->sequence.end());
  CHECK(negative->sequence == want);
}

TEST_CASE("weighted pictures of several lengths do not depend on their batch") {
  const auto folder = ModelFolder::open(test::data_path("models/tiny_sd1").string());
  const auto backend = make_backend("cpu", {});
  StableDiffusion model(folder, *backend, {.dtype = DType::f32});
  std::vector<RenderJob> jobs(3);
  const char* const prompts[] = {"a (cat:1.4)", "a BREAK (b) BREAK c", "dog"};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].prompt = prompts[i];
    jobs[i].negative_prompt = i == 2 ? "(bad:1.3) BREAK worse" : "";
    jobs[i].seed = i;
    jobs[i].width = jobs[i].height = model.configs().default_size();
    jobs[i].num_inference_steps = 2;
    jobs[i].guidance_scale = 7.5;
    jobs[i].prompt_weighting = true;
  }
  const auto together = model.denoise(jobs, {});
  REQUIRE(together.size() == jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CHECK(model.denoise({&jobs[i], 1}, {}).front().values == together[i].values);
    for (const float value : together[i].values) REQUIRE(std::isfinite(value));
  }
  RenderJob plain = jobs[0];
  plain.prompt_weighting = false;
  CHECK(model.denoise({&plain, 1}, {}).front().values != together[0].values);
}

TEST_CASE("words after a comma among the last 20 tokens of a chunk move on") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(
      ModelFolder::open(test::data_path("models/tiny_sd1").string()).tokenizer_folder());
  REQUIRE(tokenizer.tokenize("a").size() == 1);
  const auto in_first_chunk = [&](int before_comma) {
    std::string prompt;
    for (int i = 0; i < before_comma; ++i) prompt += "a ";
    prompt += ", ";
    for (int i = 0; i < 30; ++i) prompt += "a ";
    const std::vector<std::int32_t> ids = weighted_tokens(tokenizer, prompt).chunks[0].ids;
    return std::find(ids.begin(), ids.end(), tokenizer.eos_token_id()) - ids.begin() - 1;
  };
  CHECK(in_first_chunk(54) == 75);
  CHECK(in_first_chunk(55) == 56);
  CHECK(in_first_chunk(74) == 75);
}

TEST_CASE("hostile prompts end") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(
      ModelFolder::open(test::data_path("models/tiny_sd1").string()).tokenizer_folder());
  const auto chunks = [&](const std::string& prompt) {
    const WeightedTokens tokens = weighted_tokens(tokenizer, prompt);
    for (const TokenChunk& chunk : tokens.chunks) {
      REQUIRE(chunk.ids.size() == 77);
      REQUIRE(chunk.weights.size() == 77);
    }
    return tokens;
  };
  CHECK(chunks(std::string(60'000, '(')).chunks.size() == 1);
  CHECK(chunks(std::string(30'000, '[') + std::string(30'000, ']')).chunks.size() == 1);
  CHECK(chunks(std::string(60'000, ':')).chunks.size() >= 1);
  std::string words, breaks;
  for (int i = 0; i < 10'000; ++i) {
    words += "cat ";
    breaks += "BREAK ";
  }
  CHECK(chunks(words).chunks.size() == kMaxChunks);
  CHECK_FALSE(chunks(words).cut_text.empty());
  CHECK(chunks(breaks).chunks.size() == kMaxChunks);
  CHECK(parse_prompt_weights("(a:" + std::string(5'000, '9') + ")")[0].weight == Approx(1.1));
}
