#include "core/io/checkpoint.hpp"

#include <fstream>

#include "io_test_files.hpp"
#include "safetensors_bytes.hpp"

namespace diffuse {
namespace {

using test::bad_model_message;
using test::put;
using test::TemporaryFolder;

/// Writes a file of U8 tensors of one byte, whose values count from `first`.
void put_bytes(const std::filesystem::path& path, const std::vector<std::string>& names,
               std::uint8_t first = 1) {
  std::vector<std::uint8_t> values(names.size());
  std::vector<TensorToWrite> tensors;
  for (std::size_t i = 0; i < names.size(); ++i) {
    values[i] = static_cast<std::uint8_t>(first + i);
    tensors.push_back({names[i], StoredDType::u8, {1}, std::as_bytes(std::span(&values[i], 1))});
  }
  write_safetensors(path, tensors, {});
}

Checkpoint open_one(const std::filesystem::path& path, Component component) {
  return {{std::make_shared<SafetensorsFile>(SafetensorsFile::open(path))}, folder_keys(component)};
}

int value(Checkpoint& checkpoint, const std::string& name) {
  const StoredTensor* const found = checkpoint.find(name);
  return found == nullptr ? -1 : std::to_integer<int>(found->bytes[0]);
}

TEST_CASE("weights are found by key, and those never asked for are listed", "[checkpoint]") {
  const TemporaryFolder folder;
  put_bytes(folder.path() / "w.safetensors", {"a.weight", "b.weight", "c.weight"});
  Checkpoint checkpoint = open_one(folder.path() / "w.safetensors", Component::unet);
  CHECK(value(checkpoint, "b.weight") == 2);
  CHECK(checkpoint.find("z.weight") == nullptr);
  CHECK(checkpoint.never_taken() == std::vector<std::string>{"a.weight", "c.weight"});
  checkpoint.drop_pages();
  CHECK(value(checkpoint, "b.weight") == 2);
  CHECK(checkpoint.where().find("w.safetensors") != std::string::npos);
}

TEST_CASE("CLIP keys have the prefix, whichever way they are stored", "[checkpoint]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  put_bytes(path, {"embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.bias",
                   "final_layer_norm.bias"});
  Checkpoint bare = open_one(path, Component::text_encoder);
  CHECK(value(bare, "text_model.embeddings.token_embedding.weight") == 1);
  CHECK(value(bare, "text_model.encoder.layers.0.mlp.fc1.bias") == 2);
  CHECK(value(bare, "text_model.final_layer_norm.bias") == 3);

  put_bytes(path, {"text_model.final_layer_norm.bias", "text_projection.weight"});
  Checkpoint prefixed = open_one(path, Component::text_encoder);
  CHECK(value(prefixed, "text_model.final_layer_norm.bias") == 1);
  CHECK(value(prefixed, "text_projection.weight") == 2);

  put_bytes(path, {"text_model.final_layer_norm.bias", "final_layer_norm.bias"});
  CHECK_THAT(bad_model_message([&] { open_one(path, Component::text_encoder); }),
             Catch::Contains("means the same weight"));
}

TEST_CASE("old names of the VAE's attention are translated, 1x1 convolutions made linear",
          "[checkpoint]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "vae.safetensors";
  const std::string at = "decoder.mid_block.attentions.0.";
  const std::vector<std::uint8_t> values = {1, 2, 3, 4, 5, 6};
  const auto bytes = std::as_bytes(std::span(values));
  write_safetensors(path,
                    {{at + "query.weight", StoredDType::u8, {1, 2, 1, 1}, bytes.subspan(0, 2)},
                     {at + "key.weight", StoredDType::u8, {1, 1}, bytes.subspan(2, 1)},
                     {at + "proj_attn.bias", StoredDType::u8, {1}, bytes.subspan(3, 1)},
                     {at + "group_norm.bias", StoredDType::u8, {1}, bytes.subspan(4, 1)},
                     {"decoder.key.weight", StoredDType::u8, {1, 1, 1, 1}, bytes.subspan(5, 1)}},
                    {});
  Checkpoint checkpoint = open_one(path, Component::vae);
  CHECK(checkpoint.find(at + "to_q.weight")->shape == std::vector<std::int64_t>{1, 2});
  CHECK(checkpoint.find(at + "to_q.weight")->stored_name == at + "query.weight");
  CHECK(value(checkpoint, at + "to_k.weight") == 3);
  CHECK(value(checkpoint, at + "to_out.0.bias") == 4);
  CHECK(value(checkpoint, at + "group_norm.bias") == 5);
  CHECK(checkpoint.find("decoder.key.weight")->shape.size() == 4);
}

/// A folder with two shards; the index is written by each test.
struct Shards {
  TemporaryFolder folder;
  std::filesystem::path index = folder.path() / "model.safetensors.index.json";

  Shards() {
    put_bytes(folder.path() / "model-00001-of-00002.safetensors", {"a", "b"}, 1);
    put_bytes(folder.path() / "model-00002-of-00002.safetensors", {"c"}, 3);
  }
  std::string refusal(const std::string& text) const {
    put(index, text);
    return bad_model_message([&] { (void)open_shards(index); });
  }
};

std::string weight_map(const std::string& c) {
  return R"({"metadata":{"total_size":3},"weight_map":{"a":"model-00001-of-00002.safetensors",)"
         R"("b":"model-00001-of-00002.safetensors","c":")" +
         c + "\"}}";
}

TEST_CASE("weights of all shards are found", "[checkpoint]") {
  const Shards shards;
  put(shards.index, weight_map("model-00002-of-00002.safetensors"));
  Checkpoint checkpoint(open_shards(shards.index), folder_keys(Component::unet));
  CHECK(value(checkpoint, "a") == 1);
  CHECK(value(checkpoint, "b") == 2);
  CHECK(value(checkpoint, "c") == 3);
  CHECK(checkpoint.where().find("1 more") != std::string::npos);
}

TEST_CASE("a hostile or broken index is refused", "[checkpoint]") {
  const Shards shards;
  for (const std::string name : {"../model-00002-of-00002.safetensors", "/etc/passwd",
                                 "x/y.safetensors", "", "..", ".safetensors", ".x.safetensors",
                                 "model.bin", "a\\\\b.safetensors", "a\\u0000.safetensors"}) {
    INFO(name);
    CHECK_THAT(shards.refusal(weight_map(name)), Catch::Contains("plain name"));
  }
  CHECK_THAT(shards.refusal(R"({"weight_map":{"a":1}})"), Catch::Contains("plain name"));
  CHECK_THAT(shards.refusal(weight_map("model-00003-of-00002.safetensors")),
             Catch::Contains("model-00003-of-00002.safetensors': is missing"));
  CHECK_THAT(shards.refusal("{}"), Catch::Contains("weight_map"));
  CHECK_THAT(shards.refusal(R"({"weight_map":{}})"), Catch::Contains("weight_map"));
  CHECK_THAT(shards.refusal("[]"), Catch::Contains("array"));
  CHECK_THAT(shards.refusal(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})"),
             Catch::Contains("twice"));

  // The index puts "c" where it does not lie.
  CHECK_THAT(shards.refusal(weight_map("model-00001-of-00002.safetensors")),
             Catch::Contains("lacks the tensor \"c\""));
  // A tensor in two shards.
  put_bytes(shards.folder.path() / "model-00002-of-00002.safetensors", {"b", "c"}, 3);
  CHECK_THAT(shards.refusal(weight_map("model-00002-of-00002.safetensors")),
             Catch::Contains("\"b\" lies in the shard 'model-00001-of-00002.safetensors' too"));
}

}  // namespace
}  // namespace diffuse
