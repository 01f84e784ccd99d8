#include "apps/diffuse_batch/path_printer.hpp"

namespace diffuse {

void PathPrinter::print(const std::string& path) {
  if (path.empty()) return;
  // A full disk or a closed pipe behind standard output is no reason to stop: the files are the
  // record.
  std::fprintf(out_, "%s\n", path.c_str());
  std::fflush(out_);
}

void PathPrinter::settle(std::int64_t index, const std::string& path) {
  if (settled(index)) return;
  waiting_.emplace(index, path);
  for (auto it = waiting_.begin(); it != waiting_.end() && it->first == next_;
       it = waiting_.erase(it)) {
    print(it->second);
    ++next_;
  }
}

void PathPrinter::finish() {
  for (const auto& [index, path] : waiting_) print(path);
  waiting_.clear();
}

}  // namespace diffuse
