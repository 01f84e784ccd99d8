#include "core/io/fingerprint.hpp"

#include "core/base/hashing.hpp"
#include "io_test_files.hpp"
#include "safetensors_bytes.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

using test::content_of;
using test::put;
using test::TemporaryFolder;

const fs::path kModel = fs::path(DIFFUSE_TEST_DATA) / "models/tiny_sd1";

std::string fingerprint(const fs::path& path) {
  return model_fingerprint(ModelFolder::open(path.string()));
}

void flip(const fs::path& path, std::size_t at) {
  std::string bytes = content_of(path);
  bytes.at(at) = static_cast<char>(bytes[at] ^ 1);
  put(path, bytes);
}

TEST_CASE("a fingerprint depends on the content of a model, not on its place", "[fingerprint]") {
  const TemporaryFolder folder;
  const fs::path copy = folder.path() / "copy";
  fs::copy(kModel, copy, fs::copy_options::recursive);
  const std::string original = fingerprint(kModel);
  CHECK(original.size() == 64);
  CHECK(fingerprint(copy) == original);

  // What does not make another picture: safety checker, other files, spacing of a configuration.
  fs::remove_all(copy / "safety_checker");
  put(copy / "unet/README.md", "x");
  const std::string config = content_of(copy / "unet/config.json");
  put(copy / "unet/config.json", "\n" + config);
  CHECK(fingerprint(copy) == original);

  put(copy / "unet/config.json", config);
  for (const char* file :
       {"unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors"}) {
    INFO(file);
    flip(copy / file, fs::file_size(copy / file) / 2);
    CHECK(fingerprint(copy) != original);
    flip(copy / file, fs::file_size(copy / file) / 2);
  }
  for (const char* file :
       {"scheduler/scheduler_config.json", "unet/config.json", "tokenizer/tokenizer_config.json"}) {
    INFO(file);
    const std::string text = content_of(copy / file);
    put(copy / file, text.substr(0, text.rfind('}')) + ", \"other\": 1}");
    CHECK(fingerprint(copy) != original);
    put(copy / file, text);
  }
  CHECK(fingerprint(copy) == original);
}

TEST_CASE("of large weights, header, size, and both ends of the data count", "[fingerprint]") {
  const TemporaryFolder folder;
  const fs::path copy = folder.path() / "copy";
  fs::copy(kModel, copy, fs::copy_options::recursive);
  const fs::path weights = copy / "unet/diffusion_pytorch_model.safetensors";
  constexpr std::size_t kSize = (std::size_t{5} << 20) + 3;
  const std::string header = R"({"a":{"dtype":"U8","shape":[)" + std::to_string(kSize) +
                             R"(],"data_offsets":[0,)" + std::to_string(kSize) + "]}}";
  put(weights, test::safetensors(header, std::string(kSize, 'x')));
  const std::string original = fingerprint(copy);
  const std::size_t data = 8 + header.size();
  for (const std::size_t at : {std::size_t{10}, data, data + 100'000, data + kSize - 1}) {
    INFO(at);
    flip(weights, at);
    CHECK(fingerprint(copy) != original);
    flip(weights, at);
  }
  CHECK(fingerprint(copy) == original);
}

TEST_CASE("a file's whole SHA-256", "[fingerprint]") {
  const TemporaryFolder folder;
  put(folder.path() / "a", "abc");
  CHECK(file_sha256(folder.path() / "a") == sha256_hex("abc"));
  const std::string large((std::size_t{33} << 20) + 1, 'y');
  put(folder.path() / "a", large);
  CHECK(file_sha256(folder.path() / "a") == sha256_hex(large));
}

}  // namespace
}  // namespace diffuse
