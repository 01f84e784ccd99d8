#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// Where a rank's results go, in the order in which its jobs end.
class ResultSink {
 public:
  /// `tell` brings a result to root.
  explicit ResultSink(std::function<void(const RenderResult&)> tell) : tell_(std::move(tell)) {}

  /// A job ended: its picture is whole under its final name, or it failed.
  void finished(const RenderResult& result, const RenderJob& job);

  /// All results of this rank, packed for the final gather.
  [[nodiscard]] std::string packed() const;

 private:
  std::function<void(const RenderResult&)> tell_;
  std::vector<RenderResult> results_;
};

}  // namespace diffuse
