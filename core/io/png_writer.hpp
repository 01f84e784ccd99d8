#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/base/bounded_queue.hpp"
#include "core/base/error.hpp"

namespace diffuse {

/// A text of a PNG file: keyword (1 to 79 Latin-1 characters) and text, UTF-8.
struct PngText {
  std::string key;
  std::string text;

  bool operator==(const PngText&) const = default;
};

/// `rgb` (8 bit, rows from the top, [height, width, 3]) as a PNG file, `texts` before the pixels:
/// tEXt where a text is Latin-1, uncompressed iTXt where not, as Pillow does. The bytes depend on
/// the arguments and the versions of libpng and zlib only: no time, no host.
/// Throws Error(bug) for a size of no pixels or one that does not fit `rgb`, or a text that is not
/// UTF-8 or holds NUL.
///
/// The settings are fixed: filter AVG, zlib level 1, strategy RLE. Measured with libpng 1.6.39 on
/// 512x512 pictures (smooth; smooth with grain of 2 levels; of 6; noise), one core:
///
///   level 6, all filters (the default)  167 kB 135 ms   349 kB 269 ms   492 kB 32 ms   788 kB 43
///   ms level 1, all filters                215 kB  21 ms   413 kB  28 ms   541 kB 35 ms   788 kB
///   42 ms level 1, all filters, RLE           163 kB  26 ms   342 kB  27 ms   492 kB 27 ms   788
///   kB 26 ms level 1, AVG, RLE (chosen)          176 kB  12 ms   343 kB  11 ms   493 kB 11 ms 788
///   kB  9 ms level 1, SUB, Huffman only          191 kB  10 ms   361 kB  10 ms   512 kB 10 ms 788
///   kB  9 ms
std::vector<std::uint8_t> encode_png(int width, int height, std::span<const std::uint8_t> rgb,
                                     std::span<const PngText> texts);

/// Threads that encode and write pictures while the next ones are rendered.
class PngWriterPool {
 public:
  struct Job {
    std::int64_t id = 0;  ///< the caller's own, given back with the result
    std::filesystem::path path;
    int width = 0;
    int height = 0;
    std::vector<std::uint8_t> rgb;  ///< [height, width, 3]
    std::vector<PngText> texts;
  };

  struct Result {
    std::int64_t id = 0;
    ExitCode code = ExitCode::ok;
    std::string error;  ///< one line; empty if code is ok
  };

  /// Called once a job, on a writer thread, never twice at a time. It must neither throw nor call
  /// this pool.
  using Done = std::function<void(const Result&)>;

  /// `threads` and `queue_capacity` are at least 1.
  PngWriterPool(int threads, std::size_t queue_capacity, Done done);
  PngWriterPool(const PngWriterPool&) = delete;
  PngWriterPool& operator=(const PngWriterPool&) = delete;

  /// Writes what was submitted, then joins.
  ~PngWriterPool();

  /// Hands a picture over; waits while the queue is full.
  void submit(Job job);

  /// Waits until every job submitted so far is reported.
  void flush();

 private:
  void work();

  Done done_;
  BoundedQueue<Job> queue_;
  std::mutex mutex_;  ///< guards open_, and keeps calls of done_ apart
  std::condition_variable idle_;
  std::size_t open_ = 0;  ///< submitted and not reported
  std::vector<std::thread> threads_;
};

}  // namespace diffuse
