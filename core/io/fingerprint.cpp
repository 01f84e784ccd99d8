#include "core/io/fingerprint.hpp"

#include <algorithm>
#include <set>

#include "core/base/hashing.hpp"
#include "core/base/json_file.hpp"
#include "core/base/mapped_file.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kBlocks = 64;
constexpr std::size_t kBlockBytes = std::size_t{64} << 10;
/// Tokenizer files are small; a vocabulary of another family may have some megabytes.
constexpr std::size_t kMaxTokenizerBytes = std::size_t{64} << 20;

/// The header counts whole; a file that is none gives a length that is cut to its size.
std::size_t header_bytes(std::span<const std::byte> bytes) {
  if (bytes.size() < 8) return bytes.size();
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return 8 + static_cast<std::size_t>(std::min<std::uint64_t>(length, bytes.size() - 8));
}

void add_weights(Sha256& hash, const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  const auto bytes = file.bytes();
  const std::size_t header = header_bytes(bytes);
  const auto data = bytes.subspan(header);
  hash.update(std::uint64_t{bytes.size()}).update(bytes.first(header));
  if (data.size() <= kBlocks * kBlockBytes) {
    hash.update(data);
    return;
  }
  // The first block begins the data, the last one ends it.
  const std::size_t last = data.size() - kBlockBytes;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    const std::size_t at = last / (kBlocks - 1) * i + last % (kBlocks - 1) * i / (kBlocks - 1);
    hash.update(data.subspan(at, kBlockBytes));
  }
}

}  // namespace

std::string model_fingerprint(const ModelFolder& model) {
  Sha256 hash;
  hash.update_field("diffuse-batch model 1").update_field(model.class_name());
  const SchedulerFile& scheduler = model.scheduler();
  hash.update_field(scheduler.class_name).update_field(scheduler.json);
  std::set<std::filesystem::path> seen;
  for (const Component component : {Component::unet, Component::vae, Component::text_encoder}) {
    hash.update_field(name_of(component)).update_field(model.config(component).json.dump());
    for (const auto& file : model.weight_files(component).files) {
      // A single-file checkpoint stands for several components.
      if (!seen.insert(file).second) continue;
      hash.update_field("weights");
      add_weights(hash, file);
    }
  }
  for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
                           "special_tokens_map.json", "added_tokens.json"}) {
    std::error_code error;
    const std::filesystem::path file = model.tokenizer_folder() / name;
    if (!std::filesystem::exists(file, error)) continue;
    hash.update_field(name).update_field(read_text_file(file, kMaxTokenizerBytes));
  }
  return hash.hex();
}

std::string file_sha256(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  Sha256 hash;
  auto rest = file.bytes();
  while (!rest.empty()) {
    const auto piece = rest.first(std::min(rest.size(), std::size_t{16} << 20));
    hash.update(piece);
    file.drop_pages(piece);
    rest = rest.subspan(piece.size());
  }
  return hash.hex();
}

}  // namespace diffuse
