#include <catch2/catch.hpp>
#include <map>

#include "apps/diffuse_bench/bench.hpp"
#include "core/base/error.hpp"

namespace diffuse::bench {
namespace {

const std::string kTiny = std::string(DIFFUSE_TEST_DATA) + "/models/tiny_sd1";

// What torch.utils.flop_counter counts on tests/data/models/tiny_sd1 at its own size (8 x 8
// latents) with attention as plain products: `unet(...)` without attn2.to_k, attn2.to_v,
// time_embedding and time_emb_proj, which are computed once before the loop; `vae.decode`; the text
// encoder on two texts of 77 tokens.
const std::map<std::string, double> kTorchFlops{{"text_encoder", 5950560},
                                                {"unet_forward", 12030016},
                                                {"guided_step", 2.0 * 12030016},
                                                {"vae_decoder", 59746304}};

BenchOptions tiny_options() {
  BenchOptions o;
  o.model = kTiny;
  o.dtype = "f32";
  o.threads = 1;
  o.repeats = 2;
  return o;
}

}  // namespace

TEST_CASE("a result counts the operations that torch counts, whole and by op") {
  const nlohmann::json result = to_json(run_bench(tiny_options()));
  CHECK(result.at("schema") == 1);
  CHECK(result.at("dtype") == "f32");
  CHECK(result.at("width") == 64);
  CHECK(result.at("peaks").at("copy_gbytes") > 0);
  CHECK(result.at("peak_rss_bytes") > 0);
  REQUIRE(result.at("networks").size() == kTorchFlops.size());
  for (const nlohmann::json& network : result.at("networks")) {
    const std::string name = network.at("name");
    INFO(name);
    CHECK(network.at("flops") == kTorchFlops.at(name));
    CHECK(network.at("shape_flops") == kTorchFlops.at(name));
    CHECK(network.at("passes").size() == 2);
    CHECK(network.at("seconds") > 0);
    CHECK(network.at("gflops_per_second") > 0);
    CHECK(network.at("arena_bytes") >= network.at("live_bytes"));
    double sum = 0;
    double seconds = 0;
    std::size_t calls = 0;
    for (const nlohmann::json& op : network.at("ops")) {
      sum += op.at("flops").get<double>();
      seconds += op.at("seconds").get<double>();
      calls += op.at("calls").get<std::size_t>();
      CHECK(op.at("best_seconds") <= op.at("seconds"));
    }
    CHECK(sum == kTorchFlops.at(name));
    CHECK(calls == network.at("op_count"));
    CHECK(seconds > 0);
    double grouped = 0;
    for (const nlohmann::json& group : network.at("groups")) {
      grouped += group.at("flops").get<double>();
    }
    CHECK(grouped == sum);
  }
}

TEST_CASE("a filter measures some ops of some networks; sizes and batches are what was asked for") {
  BenchOptions o = tiny_options();
  o.networks = {"guided_step"};
  o.filter = "^conv2d 3x3 ";
  o.width = 32;
  o.height = 24;
  o.batch_size = 3;
  const BenchResult result = run_bench(o);
  REQUIRE(result.networks.size() == 1);
  const NetworkResult& network = result.networks[0];
  REQUIRE_FALSE(network.ops.empty());
  CHECK(network.ops[0].label == "conv2d 3x3 6x3x4x4 -> 12");
  for (const OpLine& line : network.ops) CHECK(line.op == "conv2d");
  CHECK(network.flops() < network.shape_flops);
}

TEST_CASE("floors come from shapes alone and have no times") {
  BenchOptions o = tiny_options();
  o.floors = true;
  o.dtype = "bf16";
  const nlohmann::json result = to_json(run_bench(o));
  for (const nlohmann::json& network : result.at("networks")) {
    CHECK(network.at("flops") == kTorchFlops.at(network.at("name")));
    CHECK(network.at("seconds").is_null());
    CHECK(network.at("percent_of_peak").is_null());
  }
  o.width = 17;
  CHECK_THROWS_AS(run_bench(o), ConfigError);
}

TEST_CASE("groups set direct convolutions apart, and their share of the rate beside them") {
  const auto line = [](const char* op, const char* method, double flops, double rate) {
    OpLine made;
    made.op = op;
    made.method = method;
    made.cost.flops = flops;
    made.seconds = 2;
    made.rate_beside = rate;
    return made;
  };
  NetworkResult network;
  network.ops = {line("linear", "", 10, 20), line("conv2d", "direct", 30, 0),
                 line("conv2d", "winograd", 100, 40), line("attention", "", 5, 10),
                 line("copy", "", 0, 0)};
  CHECK(network.rate_beside() == 20);  // the median of those that are known, and the usual one
  const std::vector<OpGroup> groups = groups_of(network);
  REQUIRE(groups.size() == 4);
  CHECK(groups[0].flops == 40);
  CHECK(groups[0].flops_beside == 2 * 20 + 2 * 20);
  CHECK(groups[1].flops_beside == 2 * 40);
  CHECK(groups[2].flops_beside == 2 * 10);
  CHECK(groups[3].seconds == 2);
}

TEST_CASE("medians") {
  CHECK(median({}) == 0);
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 9}) == 3);
}

TEST_CASE("usage mistakes of the benchmark") {
  const auto parse = [](std::vector<std::string> words) {
    words.insert(words.begin(), "diffuse_bench");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return parse_bench_options(static_cast<int>(argv.size()), argv.data());
  };
  CHECK(parse({"--filter", "("}).error.find("--filter") == 0);
  CHECK_FALSE(parse({"--network", "vae"}).error.empty());
  CHECK_FALSE(parse({"--compare", "one.json"}).error.empty());
  const auto good = parse({"--network", "vae_decoder,guided_step", "--dtype", "f32"});
  CHECK(good.error.empty());
  CHECK(good.options.networks.size() == 2);
}

}  // namespace diffuse::bench
