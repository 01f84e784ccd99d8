#include "apps/diffuse_batch/picture_files.hpp"

#include <algorithm>
#include <utility>

namespace diffuse {
namespace {

constexpr int kWriterThreads = 1;
constexpr std::size_t kQueueCapacity = 16;

}  // namespace

PictureFiles::PictureFiles(const RunSettings& settings)
    : settings_(settings),
      writers_(kWriterThreads, kQueueCapacity, [this](const PngWriterPool::Result& result) {
        const std::lock_guard lock(mutex_);
        results_.push_back(result);
      }) {}

void PictureFiles::write(const RenderJob& job, RenderResult result, Image image) {
  PngWriterPool::Job file{
      .id = job.index,
      .path = result.path,
      .width = image.width,
      .height = image.height,
      .rgb = std::move(image.rgb),
      .texts = picture_texts(picture_job(job, settings_), picture_labels(job, settings_))};
  open_.push_back({job, std::move(result)});
  writers_.submit(std::move(file));
}

std::vector<PictureFiles::Written> PictureFiles::take_written() {
  std::vector<PngWriterPool::Result> now;
  {
    const std::lock_guard lock(mutex_);
    now.swap(results_);
  }
  std::vector<Written> written;
  for (const PngWriterPool::Result& result : now) {
    const auto found = std::find_if(open_.begin(), open_.end(),
                                    [&](const auto& open) { return open.job.index == result.id; });
    written.push_back(std::move(*found));
    open_.erase(found);
    written.back().code = result.code;
    written.back().result.error = result.error;
  }
  return written;
}

}  // namespace diffuse
