#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/dtype.hpp"
#include "core/base/mapped_file.hpp"

namespace diffuse {

/// Element types that a safetensors file can name, in the order of the reference implementation
/// (by alignment, then as listed there).
enum class StoredDType : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

/// As the file spells it: "F16".
std::string_view name_of(StoredDType dtype);
std::size_t bits_of(StoredDType dtype);
std::optional<StoredDType> stored_dtype(std::string_view name);
/// The same type as one that the program computes with (f32, f16, bf16), or nothing.
std::optional<DType> compute_dtype(StoredDType dtype);

/// One entry of a header. The data lie at [begin, end) of the data section.
struct TensorInfo {
  std::string name;
  StoredDType dtype = StoredDType::f32;
  std::vector<std::int64_t> shape;  ///< empty for a scalar; a zero makes an empty tensor
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// A safetensors file, mapped, its header read and checked whole: length of the header (at most
/// 100,000,000), JSON and UTF-8, known dtypes, sizes without overflow that agree with shape and
/// dtype, every byte of the data in exactly one tensor, no name twice, `__metadata__` of strings.
/// Tensors may stand in any order, their data need not be aligned, and values are not looked at.
/// Source: https://github.com/huggingface/safetensors `tensor.rs`; beyond it, duplicate names,
/// names with NUL, unknown fields and more than 64 dimensions are refused.
class SafetensorsFile {
 public:
  /// Throws InputError(code) for a file that is missing or breaks a rule, naming file and tensor;
  /// pointers of Git LFS, web pages, archives and pickles are named as what they are.
  static SafetensorsFile open(const std::filesystem::path& path,
                              ExitCode code = ExitCode::bad_model);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Sorted by name.
  [[nodiscard]] const std::vector<TensorInfo>& tensors() const { return tensors_; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// The entry of that name, or null.
  [[nodiscard]] const TensorInfo* find(std::string_view name) const;
  /// Data of an entry of this file, little-endian and perhaps unaligned. Valid as long as the file.
  [[nodiscard]] std::span<const std::byte> bytes(const TensorInfo& tensor) const;

  /// Gives the pages of the data back (they count as this process's memory once read); they are
  /// read again when touched.
  void drop_pages() const { file_.drop_pages(file_.bytes()); }
  void drop_pages(const TensorInfo& tensor) const { file_.drop_pages(bytes(tensor)); }

 private:
  SafetensorsFile(std::filesystem::path path, MappedFile file);

  std::filesystem::path path_;
  MappedFile file_;
  std::span<const std::byte> data_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written; `bytes` little-endian, of the size that shape and dtype give.
struct TensorToWrite {
  std::string name;
  StoredDType dtype = StoredDType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// The bytes of a safetensors file, in the reference writer's form: `__metadata__` first, tensors
/// by falling dtype, then name, header padded with spaces to a multiple of 8. Names and metadata
/// must be UTF-8. Throws Error(bug) if a tensor's bytes do not fit its shape.
std::string encode_safetensors(std::vector<TensorToWrite> tensors,
                               const std::map<std::string, std::string>& metadata);

/// The same as a file that is either whole or not there (see write_file_atomically).
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace diffuse
