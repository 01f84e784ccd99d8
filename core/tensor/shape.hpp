#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace diffuse {

/// Sizes of a tensor, outermost first; at most four dimensions, each 0 or more.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 4;

  Shape() = default;
  /// Throws ShapeError for more than four dimensions, a negative one, or 2^48 elements and more.
  Shape(std::initializer_list<std::int64_t> dims);

  [[nodiscard]] std::size_t rank() const { return rank_; }
  [[nodiscard]] std::int64_t operator[](std::size_t i) const { return dims_[i]; }
  /// The i-th dimension from the end: back(0) is the last.
  [[nodiscard]] std::int64_t back(std::size_t i = 0) const { return dims_[rank_ - 1 - i]; }
  /// Product of all dimensions (1 for rank 0).
  [[nodiscard]] std::int64_t elements() const;
  /// Product of all dimensions but the last: how many rows of `back()` elements there are.
  [[nodiscard]] std::int64_t rows() const;
  /// The same shape with another last dimension.
  [[nodiscard]] Shape with_back(std::int64_t last) const;
  /// The same shape with another first dimension.
  [[nodiscard]] Shape with_front(std::int64_t first) const;
  /// "[2, 64, 64, 320]".
  [[nodiscard]] std::string str() const;

  friend bool operator==(const Shape& a, const Shape& b) {
    return a.rank_ == b.rank_ && a.dims_ == b.dims_;
  }

 private:
  void check() const;

  std::array<std::int64_t, kMaxRank> dims_{};
  std::size_t rank_ = 0;
};

}  // namespace diffuse
