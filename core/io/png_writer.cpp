#include "core/io/png_writer.hpp"

#include <png.h>
#include <utf8proc.h>
#include <zlib.h>

#include <algorithm>
#include <csetjmp>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "core/io/atomic_file.hpp"

namespace diffuse {
namespace {

/// UTF-8 as Latin-1, or nothing if a character is beyond it.
std::optional<std::string> latin1(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t point = -1;
    const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    if (used <= 0 || point == 0) {
      throw Error(ExitCode::bug, "a text for a PNG file is not UTF-8 or holds NUL");
    }
    out += static_cast<char>(std::min(point, 0x100) & 0xFF);
    if (point > 0xFF) return std::nullopt;
    at += static_cast<std::size_t>(used);
  }
  return out;
}

/// All that the part guarded by setjmp works on: it has no locals that a longjmp could spoil.
struct Encoding {
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_uint_32 width = 0;
  png_uint_32 height = 0;
  const std::uint8_t* row = nullptr;
  std::vector<png_text> texts;
  std::vector<std::uint8_t> out;
  std::string error;

  Encoding() = default;
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;
  ~Encoding() { png_destroy_write_struct(&png, &info); }
};

void on_error(png_structp png, png_const_charp message) {
  static_cast<Encoding*>(png_get_error_ptr(png))->error = message;
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_bytes(png_structp png, png_bytep bytes, png_size_t count) {
  auto* encoding = static_cast<Encoding*>(png_get_io_ptr(png));
  try {
    encoding->out.insert(encoding->out.end(), bytes, bytes + count);
  } catch (const std::exception&) {
    // An exception must not pass through libpng, which is C.
    png_error(png, "out of memory");
  }
}

void on_flush(png_structp) {}

bool encode(Encoding* e) {
  if (setjmp(png_jmpbuf(e->png)) != 0) return false;
  png_set_user_limits(e->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(e->png, e->info, e->width, e->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  png_set_compression_level(e->png, 1);
  png_set_compression_strategy(e->png, Z_RLE);
  png_set_filter(e->png, PNG_FILTER_TYPE_BASE, PNG_FILTER_AVG);
  png_set_text(e->png, e->info, e->texts.data(), static_cast<int>(e->texts.size()));
  png_write_info(e->png, e->info);
  for (png_uint_32 y = 0; y < e->height; ++y) {
    png_write_row(e->png, e->row);
    e->row += std::size_t{3} * e->width;
  }
  png_write_end(e->png, e->info);
  return true;
}

}  // namespace

std::vector<std::uint8_t> encode_png(int width, int height, std::span<const std::uint8_t> rgb,
                                     std::span<const PngText> texts) {
  if (width < 1 || height < 1 ||
      rgb.size() !=
          std::size_t{3} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {
    throw Error(ExitCode::bug, "a picture of " + std::to_string(width) + "x" +
                                   std::to_string(height) + " came with " +
                                   std::to_string(rgb.size()) + " bytes");
  }
  Encoding e;
  e.width = static_cast<png_uint_32>(width);
  e.height = static_cast<png_uint_32>(height);
  e.row = rgb.data();
  // libpng takes pointers that are not const, but only reads.
  std::vector<std::string> held;
  held.reserve(2 * texts.size());
  for (const PngText& text : texts) {
    std::optional<std::string> narrow = latin1(text.text);
    png_text entry{};
    entry.compression = narrow ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    entry.key = held.emplace_back(text.key).data();
    entry.text = held.emplace_back(narrow ? *std::move(narrow) : text.text).data();
    e.texts.push_back(entry);
  }
  e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &e, on_error, on_warning);
  if (e.png != nullptr) e.info = png_create_info_struct(e.png);
  if (e.info == nullptr) throw Error(ExitCode::bug, "libpng cannot be set up: out of memory");
  png_set_write_fn(e.png, &e, on_bytes, on_flush);
  if (!encode(&e)) throw Error(ExitCode::bug, "libpng: " + e.error);
  return std::move(e.out);
}

PngWriterPool::PngWriterPool(int threads, std::size_t queue_capacity, Done done)
    : done_(std::move(done)), queue_(queue_capacity) {
  try {
    for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // A limit on threads: fewer writers do as well, none do not.
    if (threads_.empty()) throw;
  }
}

PngWriterPool::~PngWriterPool() {
  queue_.close();
  for (std::thread& thread : threads_) thread.join();
}

void PngWriterPool::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    ++open_;
  }
  queue_.push(std::move(job));
}

void PngWriterPool::flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return open_ == 0; });
}

void PngWriterPool::work() {
  while (const std::optional<Job> job = queue_.pop()) {
    Result result{job->id, ExitCode::ok, ""};
    try {
      write_file_atomically(job->path, encode_png(job->width, job->height, job->rgb, job->texts));
    } catch (const Error& error) {
      result.code = error.code();
      result.error = error.what();
    } catch (const std::exception& error) {
      result.code = ExitCode::some_failed;
      result.error = "'" + job->path.filename().string() + "' cannot be encoded: " + error.what();
    }
    const std::lock_guard lock(mutex_);
    if (done_) done_(result);
    if (--open_ == 0) idle_.notify_all();
  }
}

}  // namespace diffuse
