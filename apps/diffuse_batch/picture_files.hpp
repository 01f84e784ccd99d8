#pragma once

#include <mutex>
#include <vector>

#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/png_writer.hpp"
#include "core/pipeline/phases.hpp"

namespace diffuse {

/// The files of decoded pictures, written by threads of their own while the next batch is computed.
class PictureFiles {
 public:
  /// A file is whole, or `code` and result.error say why not.
  struct Written {
    RenderJob job;
    RenderResult result;
    ExitCode code = ExitCode::ok;
  };

  explicit PictureFiles(const RunSettings& settings);

  /// Hands a picture over; its file is result.path. Waits while too many are under way.
  void write(const RenderJob& job, RenderResult result, Image image);
  /// What has been written since the last call.
  [[nodiscard]] std::vector<Written> take_written();
  /// Waits until all are written.
  void flush() { writers_.flush(); }
  /// All were taken.
  [[nodiscard]] bool empty() const { return open_.empty(); }

 private:
  const RunSettings& settings_;
  std::mutex mutex_;  // guards results_, filled by the writer threads
  std::vector<PngWriterPool::Result> results_;
  std::vector<Written> open_;  // with the writers, or not yet taken
  PngWriterPool writers_;      // last: its threads use the members above
};

}  // namespace diffuse
