// Reading a safetensors file. An input that begins with 'R' is a whole file; any other is the JSON
// of a header, a byte 0xFF, and two bytes with the length of the data (which are zeros): so that
// most inputs get past the length of the header.
#include <algorithm>
#include <numeric>

#include "core/io/safetensors.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

void set_file(MemoryFile& file, std::string_view input) {
  if (!input.empty() && input.front() == 'R') {
    file.set(input.substr(1));
    return;
  }
  const auto parts = parts_of(input, '\xFF', 2);
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((parts[0].size() >> (8 * i)) & 0xFFU);
  std::size_t zeros = 0;
  for (const char c : parts[1].substr(0, 2)) zeros = zeros << 8U | static_cast<unsigned char>(c);
  file.set(bytes + std::string(parts[0]), zeros);
}

void check_tables(const SafetensorsFile& file) {
  std::uint64_t data = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    const auto bytes = file.bytes(tensor);
    must(bytes.size() == tensor.end - tensor.begin, "a tensor has the bytes of its entry");
    // Reads all of it: a place outside the file is found by the system or the sanitizer.
    data += bytes.size();
    must(std::all_of(bytes.begin(), bytes.end(), [](std::byte) { return true; }), "");
    must(file.find(tensor.name) == &tensor, "a tensor is found by its name");
    must(is_utf8(tensor.name), "a name is UTF-8");
    for (const std::int64_t size : tensor.shape) must(size >= 0, "no dimension is negative");
  }
  must(data <= 65'535 + 100'000, "no byte is in two tensors");
}

/// A file that was taken can be written, and the written one says the same.
void check_round_trip(const SafetensorsFile& file) {
  std::vector<TensorToWrite> tensors;
  for (const TensorInfo& t : file.tensors())
    tensors.push_back({t.name, t.dtype, t.shape, file.bytes(t)});
  static MemoryFile copy;
  copy.set(encode_safetensors(std::move(tensors), file.metadata()));
  const SafetensorsFile again = SafetensorsFile::open(copy.path());
  must(again.metadata() == file.metadata(), "metadata survive");
  must(again.tensors().size() == file.tensors().size(), "all tensors survive");
  for (std::size_t i = 0; i < again.tensors().size(); ++i) {
    const TensorInfo& a = file.tensors()[i];
    const TensorInfo& b = again.tensors()[i];
    must(a.name == b.name && a.dtype == b.dtype && a.shape == b.shape, "a tensor survives");
    must(std::ranges::equal(file.bytes(a), again.bytes(b)), "its bytes survive");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static MemoryFile file;
  set_file(file, {reinterpret_cast<const char*>(data), size});
  refusal([] {
    const SafetensorsFile opened = SafetensorsFile::open(file.path());
    check_tables(opened);
    check_round_trip(opened);
  });
  return 0;
}
