// Judging a PNG file and reading the job that it carries. An input that begins with 'R' is a whole
// file; any other is chunks apart by the byte 0x1E, each its type and its data, to which the
// harness adds signature, lengths and check sums.
#include <zlib.h>

#include "core/io/contact_sheet.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/io/png_check.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

void append_number(std::string& out, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xFFU);
}

std::string file_of(std::string_view input) {
  if (input.starts_with('R')) return std::string(input.substr(1));
  std::string file = "\x89PNG\r\n\x1A\n";
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\x1E'), input.size());
    const std::string_view chunk = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    if (chunk.size() < 4) continue;
    append_number(file, chunk.size() - 4);
    file.append(chunk);
    append_number(file, crc32(0, reinterpret_cast<const Bytef*>(chunk.data()),
                              static_cast<uInt>(chunk.size())));
  }
  return file;
}

void check_job(const RecordedJob& recorded) {
  must(recorded.hash == job_hash(recorded.job), "a job has its own hash");
  const auto again = parse_job_chunk(job_chunk_text(recorded.job, "1"));
  must(again.has_value() && again->job == recorded.job, "a job survives");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static MemoryFile file;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto recorded = parse_job_chunk(input)) check_job(*recorded);
  file.set(file_of(input));
  const PngCheck check = check_png(file.path());
  must(check.status == PngStatus::whole || !check.problem.empty(), "a bad file has a problem");
  for (const PngText& text : check.texts) must(is_utf8(text.text), "texts are UTF-8");
  if (const auto recorded = recorded_job(check.texts)) check_job(*recorded);
  // libpng itself decodes whole files only, and no large ones: a bomb is not what is looked for.
  if (std::uint64_t{check.width} * check.height > 65'536) return 0;
  if (const auto picture = read_png(file.path())) {
    must(picture->rgb.size() == std::size_t{check.width} * check.height * 3, "all pixels are read");
    const RgbPicture small = thumbnail(*picture, 16);
    must(small.width >= 1 && small.width <= 16 && small.height >= 1 && small.height <= 16 &&
             small.rgb.size() == static_cast<std::size_t>(small.width * small.height * 3),
         "a thumbnail fits");
  }
  return 0;
}
