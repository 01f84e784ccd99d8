#include "core/pipeline/job_codec.hpp"

#include <bit>
#include <concepts>
#include <limits>
#include <type_traits>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

constexpr std::string_view kJobsMagic = "DBJ2";
constexpr std::string_view kResultsMagic = "DBR1";

class Writer {
 public:
  explicit Writer(std::string_view magic) : bytes_(magic) {}

  template <std::integral T>
  void operator()(T value) {
    auto bits = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<char>((bits >> (8 * i)) & 0xFFU));
    }
  }
  void operator()(bool value) { (*this)(std::uint8_t{value}); }
  void operator()(double value) { (*this)(std::bit_cast<std::uint64_t>(value)); }
  void operator()(RenderStatus value) { (*this)(static_cast<std::uint8_t>(value)); }
  void operator()(const std::string& value) {
    (*this)(std::uint64_t{value.size()});
    bytes_.append(value);
  }

  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

[[noreturn]] void throw_damaged(const std::string& what) {
  throw MpiError("bytes from another rank are damaged: " + what +
                 "; nothing of them was used; please report this");
}

class Reader {
 public:
  Reader(std::string_view bytes, std::string_view magic) : rest_(bytes) {
    constexpr std::size_t kKind = 3;  // the rest of the magic is the version
    if (rest_.substr(0, kKind) != magic.substr(0, kKind))
      throw_damaged("they do not begin with " + std::string(magic));
    if (rest_.substr(0, magic.size()) != magic) {
      throw MpiError(
          "the ranks run different versions of diffuse-batch, so they cannot share a list; "
          "start the same build on every node",
          ExitCode::launcher);
    }
    rest_.remove_prefix(magic.size());
  }

  template <std::integral T>
  void operator()(T& value) {
    std::make_unsigned_t<T> bits = 0;
    const std::string_view from = take(sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      using Wide = std::uint64_t;
      bits = static_cast<std::make_unsigned_t<T>>(
          bits | (Wide{static_cast<unsigned char>(from[i])} << (8 * i)));
    }
    value = static_cast<T>(bits);
  }
  void operator()(bool& value) {
    std::uint8_t byte = 0;
    (*this)(byte);
    if (byte > 1) throw_damaged("a flag is " + std::to_string(byte));
    value = byte == 1;
  }
  void operator()(double& value) {
    std::uint64_t bits = 0;
    (*this)(bits);
    value = std::bit_cast<double>(bits);
  }
  void operator()(RenderStatus& value) {
    std::uint8_t byte = 0;
    (*this)(byte);
    if (byte > static_cast<std::uint8_t>(RenderStatus::failed)) {
      throw_damaged("a status is " + std::to_string(byte));
    }
    value = static_cast<RenderStatus>(byte);
  }
  void operator()(std::string& value) {
    std::uint64_t size = 0;
    (*this)(size);
    value = take(size);
  }

  [[nodiscard]] std::size_t left() const { return rest_.size(); }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) {
      throw_damaged("a field of " + std::to_string(size) + " bytes where " +
                    std::to_string(rest_.size()) + " are left");
    }
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
};

/// The one list of fields, for both directions. Order and types are the format: a change needs a
/// new version.
template <class Coder, class Job>
requires std::same_as<std::remove_const_t<Job>, RenderJob>
void code(Coder& coder, Job& job) {
  coder(job.index);
  coder(job.line);
  coder(job.prompt);
  coder(job.negative_prompt);
  coder(job.seed);
  coder(job.width);
  coder(job.height);
  coder(job.num_inference_steps);
  coder(job.guidance_scale);
  coder(job.guidance_rescale);
  coder(job.eta);
  coder(job.clip_skip);
  coder(job.scheduler);
  coder(job.prompt_weighting);
  coder(job.padding);
  coder(job.file_name);
  coder(job.input);
  coder(job.name);
  coder(job.metadata);
  coder(job.mistake);
}

template <class Coder, class Result>
requires std::same_as<std::remove_const_t<Result>, RenderResult>
void code(Coder& coder, Result& result) {
  coder(result.index);
  coder(result.status);
  coder(result.path);
  coder(result.error);
  coder(result.seed);
  coder(result.milliseconds);
  coder(result.rank);
}

template <class T>
std::string pack(std::span<const T> records, std::string_view magic) {
  Writer writer(magic);
  writer(std::uint64_t{records.size()});
  for (const T& record : records) code(writer, record);
  return writer.take();
}

template <class T>
std::vector<T> unpack(std::string_view bytes, std::string_view magic) {
  Reader reader(bytes, magic);
  std::uint64_t count = 0;
  reader(count);

  // A record without text is the shortest one there is; more of them than fit cannot be meant.
  const std::size_t shortest = pack(std::span<const T>(std::vector<T>(1)), magic).size() -
                               pack(std::span<const T>{}, magic).size();
  if (count > reader.left() / shortest) {
    throw_damaged(std::to_string(count) + " records in " + std::to_string(reader.left()) +
                  " bytes");
  }
  std::vector<T> records(static_cast<std::size_t>(count));
  for (T& record : records) code(reader, record);
  if (reader.left() != 0) throw_damaged(std::to_string(reader.left()) + " bytes are left over");
  return records;
}

}  // namespace

std::string pack_jobs(std::span<const RenderJob> jobs) { return pack(jobs, kJobsMagic); }
std::vector<RenderJob> unpack_jobs(std::string_view bytes) {
  return unpack<RenderJob>(bytes, kJobsMagic);
}
std::string pack_results(std::span<const RenderResult> results) {
  return pack(results, kResultsMagic);
}
std::vector<RenderResult> unpack_results(std::string_view bytes) {
  return unpack<RenderResult>(bytes, kResultsMagic);
}

}  // namespace diffuse
