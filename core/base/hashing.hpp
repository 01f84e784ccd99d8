#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace diffuse {

/// SHA-256 (FIPS 180-4) of bytes given piece by piece.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  Sha256& update(std::span<const std::byte> bytes);
  Sha256& update(std::string_view text);
  /// Eight bytes, the lowest first.
  Sha256& update(std::uint64_t number);
  /// A text and its length before it, so that fields that follow one another cannot be confused.
  Sha256& update_field(std::string_view text);
  /// 64 lower-case hexadecimal digits. The object is used up.
  std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// SHA-256 of one text, as hexadecimal digits.
std::string sha256_hex(std::string_view text);

}  // namespace diffuse
