#include <fcntl.h>
#include <png.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <set>
#include <thread>

#include "core/base/bounded_queue.hpp"
#include "core/base/error.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/png_writer.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;

namespace {

/// Pixels as libpng's own simplified reader gives them.
std::vector<std::uint8_t> decoded(const std::vector<std::uint8_t>& bytes, int width, int height) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  CHECK(static_cast<int>(image.width) == width);
  CHECK(static_cast<int>(image.height) == height);
  CHECK(image.format == PNG_FORMAT_RGB);
  std::vector<std::uint8_t> rgb(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, rgb.data(), 0, nullptr) != 0);
  return rgb;
}

std::string as_text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

Error error_of_write(const std::filesystem::path& path, const std::string& text) {
  try {
    write_file_atomically(path, text);
  } catch (const Error& error) {
    return error;
  }
  return {ExitCode::ok, ""};
}

}  // namespace

TEST_CASE("encoded pixels come back, the same bytes each time") {
  for (const auto& [width, height] : {std::pair{1, 1}, {64, 48}, {3, 200}, {257, 5}}) {
    const auto rgb = gradient(width, height);
    const auto bytes = encode_png(width, height, rgb, {});
    CHECK(decoded(bytes, width, height) == rgb);
    CHECK(encode_png(width, height, rgb, {}) == bytes);
  }
  const auto rgb = gradient(4, 4);
  CHECK_THROWS_AS(encode_png(4, 5, rgb, {}), Error);
  CHECK_THROWS_AS(encode_png(0, 4, {}, {}), Error);
}

TEST_CASE("texts are Latin-1 tEXt where they can be, iTXt where not") {
  const std::vector<PngText> texts = {{"plain", "caf\xC3\xA9\nline"}, {"wide", "\xE7\x8C\xAB"}};
  const std::string bytes = as_text(encode_png(2, 2, gradient(2, 2), texts));
  CHECK(bytes.find(std::string("tEXtplain\0caf\xE9\nline", 19)) != std::string::npos);
  CHECK(bytes.find(std::string("iTXtwide\0\0\0\0\0\xE7\x8C\xAB", 16)) != std::string::npos);
  CHECK(bytes.find("tIME") == std::string::npos);
  CHECK(bytes.find("IDAT") > bytes.find("iTXt"));
  const std::vector<PngText> broken = {{"k", "a\xFF"}};
  CHECK_THROWS_AS(encode_png(2, 2, gradient(2, 2), broken), Error);
  const std::vector<PngText> nul = {{"k", std::string("a\0b", 3)}};
  CHECK_THROWS_AS(encode_png(2, 2, gradient(2, 2), nul), Error);
}

TEST_CASE("a file is written whole or not at all") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.png";
  write_file_atomically(path, "first");
  CHECK(content_of(path) == "first");
  write_file_atomically(path, "second, longer");
  CHECK(content_of(path) == "second, longer");
  CHECK(names_in(folder.path()).size() == 1);

  SECTION("a folder in the way fails this file alone") {
    std::filesystem::create_directories(folder.path() / "b.png" / "inside");
    CHECK(error_of_write(folder.path() / "b.png", "x").code() == ExitCode::some_failed);
    CHECK(names_in(folder.path()).size() == 2);
  }
  SECTION("a name that is too long") {
    CHECK(error_of_write(folder.path() / std::string(256, 'n'), "x").code() ==
          ExitCode::some_failed);
    CHECK(error_of_write(folder.path() / std::string(255, 'n'), "x").code() == ExitCode::ok);
    CHECK(names_in(folder.path()).size() == 2);
  }
  SECTION("a missing folder") {
    CHECK(error_of_write(folder.path() / "no" / "b.png", "x").code() == ExitCode::storage);
  }
  SECTION("full storage leaves the old file and no temporary") {
    const SmallFileSystem small(folder.path() / "small", "size=64k", 0);
    if (!small.mounted()) return;
    const auto inside = folder.path() / "small" / "a.png";
    write_file_atomically(inside, "old");
    const Error error = error_of_write(inside, std::string(200'000, 'x'));
    CHECK(error.code() == ExitCode::storage);
    CHECK(std::string(error.what()).find("No space") != std::string::npos);
    CHECK(content_of(inside) == "old");
    CHECK(names_in(folder.path() / "small").size() == 1);
  }
  SECTION("read-only storage") {
    const SmallFileSystem fixed(folder.path() / "fixed", "", MS_RDONLY);
    if (!fixed.mounted()) return;
    CHECK(error_of_write(folder.path() / "fixed" / "a.png", "x").code() == ExitCode::storage);
  }
}

TEST_CASE("a limit on file sizes ends in an error, with short writes on the way") {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(
        static_cast<int>(error_of_write(folder.path() / "a.png", std::string(15'000, 'x')).code()));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == static_cast<int>(ExitCode::storage));
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("the pool writes every job and reports it once") {
  const TemporaryFolder folder;
  constexpr int kJobs = 60;
  std::set<std::int64_t> done;
  std::vector<PngWriterPool::Result> failed;
  {
    PngWriterPool pool(3, 2, [&](const PngWriterPool::Result& result) {
      CHECK(done.insert(result.id).second);
      if (result.code != ExitCode::ok) failed.push_back(result);
    });
    for (int i = 0; i < kJobs; ++i) {
      const auto path = folder.path() / (i == 7 ? "no/7.png" : std::to_string(i) + ".png");
      pool.submit({i, path, 20 + i, 16, gradient(20 + i, 16), {{"id", std::to_string(i)}}});
      if (i == kJobs / 2) {
        pool.flush();
        CHECK(done.size() == kJobs / 2 + 1);
      }
    }
  }
  CHECK(done.size() == kJobs);
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].id == 7);
  CHECK(failed[0].code == ExitCode::storage);
  CHECK(names_in(folder.path()).size() == kJobs - 1);
  const std::string bytes = content_of(folder.path() / "33.png");
  CHECK(decoded({bytes.begin(), bytes.end()}, 53, 16) == gradient(53, 16));
}

TEST_CASE("a bounded queue keeps order, waits for room, and hands out the rest when closed") {
  BoundedQueue<int> queue(4);
  std::atomic<int> pushed{0};
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) {
      if (queue.push(i)) ++pushed;
    }
    queue.close();
  });
  int expected = 0;
  while (const auto value = queue.pop()) {
    CHECK(*value == expected++);
    CHECK(pushed.load() <= expected + 4);
  }
  producer.join();
  CHECK(expected == 1000);
  CHECK_FALSE(queue.push(1));
  CHECK_FALSE(queue.pop().has_value());
}
