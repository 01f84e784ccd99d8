#include "core/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/io/safetensors_header.hpp"

namespace diffuse {
namespace {

// Weights are used as they lie in the file.
static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kLengthBytes = 8;

bool starts_with_any_case(std::string_view text, std::string_view lower_start) {
  return text.size() >= lower_start.size() &&
         std::equal(lower_start.begin(), lower_start.end(), text.begin(), [](char want, char have) {
           return want == (have >= 'A' && have <= 'Z' ? static_cast<char>(have - 'A' + 'a') : have);
         });
}

/// What lies in the place of a safetensors file, as far as its first bytes (8 or more) tell; empty
/// if they do not.
std::string foreign_kind(std::string_view start) {
  if (start.substr(0, 23) == "version https://git-lfs") {
    return "is a pointer of Git LFS, not the weights themselves (fetch them with: git lfs pull)";
  }
  const std::size_t text = start.find_first_not_of(" \t\r\n");
  const std::string_view word = text == std::string_view::npos ? "" : start.substr(text);
  if (starts_with_any_case(word, "<!doctype") || starts_with_any_case(word, "<html") ||
      starts_with_any_case(word, "<?xml")) {
    return "is a web page, not weights: the download gave an error page (fetch the file again)";
  }
  if (start.substr(0, 4) == "PK\x03\x04" || (start[0] == '\x80' && start[1] <= 5)) {
    return "is a pickle of PyTorch, which can run code of its author and is never read (convert it "
           "to safetensors with diffusers: pipe.save_pretrained(folder))";
  }
  if (start.substr(0, 4) == "GGUF") return "is a GGUF file, which is not supported";
  if (start.substr(0, 1) == "{") return "is a JSON text, not weights";
  return {};
}

std::uint64_t header_length(std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return length;
}

/// The header's text, its length checked against the format and the file.
std::string_view header_text(std::span<const std::byte> bytes, const std::filesystem::path& path,
                             ExitCode code) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto refuse = [&](const std::string& problem) { refuse_file(path, problem, code); };
  const std::string has = "has " + std::to_string(bytes.size()) + " bytes, ";
  if (bytes.size() < kLengthBytes) {
    refuse(has + "needs at least 8: it is cut off, or no safetensors file (fetch it again)");
  }
  const std::uint64_t length = header_length(bytes);
  if (length > kMaxHeaderBytes) {
    // Text and other formats give a length beyond all bounds, so none is mistaken for another.
    const std::string kind = foreign_kind(all.substr(0, 256));
    refuse(!kind.empty()
               ? kind
               : "is no safetensors file: it would have a header of " + std::to_string(length) +
                     " bytes, more than the 100000000 of the format (fetch it again)");
  }
  if (length > bytes.size() - kLengthBytes) {
    refuse(has + "needs " + std::to_string(length + kLengthBytes) +
           " for its header alone: it is cut off (fetch it again)");
  }
  const std::string_view text = all.substr(kLengthBytes, static_cast<std::size_t>(length));
  if (text.empty() || text.front() != '{') {
    refuse("is no safetensors file: its header does not begin with '{' (fetch it again)");
  }
  return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path, MappedFile file)
    : path_(std::move(path)), file_(std::move(file)) {}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path, ExitCode code) {
  SafetensorsFile out(path, MappedFile::open(path, code));
  const auto bytes = out.file_.bytes();
  const std::string_view text = header_text(bytes, path, code);
  SafetensorsHeader header = parse_safetensors_header(text, path, code);
  const std::uint64_t needed = check_safetensors_tables(header.tensors, path, code);

  out.data_ = bytes.subspan(kLengthBytes + text.size());
  if (needed != out.data_.size()) {
    const std::string has = "has " + std::to_string(bytes.size()) + " bytes, ";
    const std::string before = std::to_string(bytes.size() - out.data_.size());
    if (needed > out.data_.size()) {
      // Not the sum, which a hostile header makes overflow.
      refuse_file(path,
                  has + "needs " + before + " + " + std::to_string(needed) +
                      " bytes: it is cut off (fetch it again)",
                  code);
    }
    refuse_file(path,
                has + "but its header accounts for " + before + " + " + std::to_string(needed) +
                    " (the file is damaged: fetch it again)",
                code);
  }
  out.tensors_ = std::move(header.tensors);
  out.metadata_ = std::move(header.metadata);
  return out;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const TensorInfo& t, std::string_view want) { return t.name < want; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& tensor) const {
  return data_.subspan(static_cast<std::size_t>(tensor.begin),
                       static_cast<std::size_t>(tensor.end - tensor.begin));
}

}  // namespace diffuse
