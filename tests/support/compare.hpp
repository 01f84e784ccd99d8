#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <sstream>
#include <string>

namespace diffuse::test {

/// Outcome of comparing two arrays; `ok` is false for different sizes and for any NaN or infinity.
struct Comparison {
  bool ok = false;
  double worst_absolute = 0;  ///< largest |got - want|
  double largest_value = 0;   ///< largest |want|
  std::string what;           ///< one line for a failure message
};

/// got equals want within `absolute + relative * |want|`, element by element.
/// Written as !(error <= bound), so that NaN fails.
template <class A, class B>
Comparison compare(std::span<const A> got, std::span<const B> want, double absolute,
                   double relative) {
  Comparison result;
  std::ostringstream text;
  if (got.size() != want.size()) {
    text << "sizes differ: " << got.size() << " and " << want.size();
    result.what = text.str();
    return result;
  }
  std::size_t bad = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const double w = static_cast<double>(want[i]);
    const double error = std::abs(g - w);
    if (!(error <= absolute + relative * std::abs(w))) {
      if (bad++ == 0) first = i;
    }
    if (!(error <= result.worst_absolute)) result.worst_absolute = error;
    if (!(std::abs(w) <= result.largest_value)) result.largest_value = std::abs(w);
  }
  result.ok = bad == 0;
  text << bad << " of " << got.size() << " values differ, worst " << result.worst_absolute
       << ", largest value " << result.largest_value;
  if (bad != 0) {
    text << "; first at " << first << ": got " << static_cast<double>(got[first]) << ", want "
         << static_cast<double>(want[first]);
  }
  result.what = text.str();
  return result;
}

}  // namespace diffuse::test
