#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/io/atomic_file.hpp"
#include "core/io/safetensors.hpp"
#include "core/io/safetensors_header.hpp"

namespace diffuse {

std::string encode_safetensors(std::vector<TensorToWrite> tensors,
                               const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.shape, tensor.dtype);
    if (bytes != tensor.bytes.size()) {
      throw Error(ExitCode::bug, "tensor \"" + tensor.name +
                                     "\" is to be written with bytes that do "
                                     "not fit its shape");
    }
    auto& entry = header[tensor.name];
    entry["dtype"] = name_of(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {at, at + *bytes};
    at += *bytes;
  }

  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>((text.size() >> (8 * i)) & 0xFFU);
  out += text;
  for (const TensorToWrite& tensor : tensors) {
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return out;
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  write_file_atomically(path, encode_safetensors(std::move(tensors), metadata));
}

}  // namespace diffuse
