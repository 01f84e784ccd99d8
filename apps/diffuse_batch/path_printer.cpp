#include "apps/diffuse_batch/path_printer.hpp"

namespace diffuse {

void PathPrinter::begin(std::int64_t first, std::int64_t count) {
  first_ = first;
  next_ = 0;
  states_.assign(static_cast<std::size_t>(count), State::open);
}

void PathPrinter::print(std::size_t position) {
  if (out_ == nullptr || states_[position] != State::whole) return;
  const std::string path = path_of_(first_ + static_cast<std::int64_t>(position));
  if (path.empty()) return;
  // A full disk or a closed pipe behind standard output is no reason to stop: the files are the
  // record.
  std::fprintf(out_, "%s\n", path.c_str());
  std::fflush(out_);
}

void PathPrinter::settle(std::int64_t index, bool whole) {
  if (settled(index)) return;
  states_[static_cast<std::size_t>(index - first_)] = whole ? State::whole : State::failed;
  for (; next_ < states_.size() && states_[next_] != State::open; ++next_) print(next_);
}

void PathPrinter::finish() {
  for (; next_ < states_.size(); ++next_) print(next_);
}

}  // namespace diffuse
