#include <array>
#include <catch2/catch.hpp>

#include "core/base/error.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/contact_sheet.hpp"
#include "core/io/picture_label.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/io/png_writer.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;

namespace {

std::vector<std::uint8_t> plain(int width, int height, std::uint8_t r, std::uint8_t g,
                                std::uint8_t b) {
  std::vector<std::uint8_t> rgb;
  for (int i = 0; i < width * height; ++i) rgb.insert(rgb.end(), {r, g, b});
  return rgb;
}

std::array<int, 3> pixel(const RgbPicture& picture, int x, int y) {
  const auto at = static_cast<std::size_t>((y * picture.width + x) * 3);
  return {picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]};
}

}  // namespace

TEST_CASE("pixels are read back, and only from whole files") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.png";
  const auto bytes = encode_png(31, 17, gradient(31, 17), {});
  write_file_atomically(path, bytes);
  const auto picture = read_png(path);
  REQUIRE(picture.has_value());
  CHECK(picture->width == 31);
  CHECK(picture->height == 17);
  CHECK(picture->rgb == gradient(31, 17));
  put(path, content_of(path).substr(0, bytes.size() - 5));
  CHECK_FALSE(read_png(path).has_value());
  CHECK_FALSE(read_png(folder.path()).has_value());
  CHECK_FALSE(read_png(folder.path() / "none").has_value());
}

TEST_CASE("a thumbnail keeps proportions; its pixels are means of boxes") {
  RgbPicture picture{4, 2, {}};
  for (int i = 0; i < 8; ++i) {
    picture.rgb.insert(picture.rgb.end(), {static_cast<std::uint8_t>(10 * i), 0, 255});
  }
  const RgbPicture small = thumbnail(picture, 2);
  CHECK(small.width == 2);
  CHECK(small.height == 1);
  CHECK(pixel(small, 0, 0) == std::array{25, 0, 255});  // 0 10 / 40 50
  CHECK(pixel(small, 1, 0) == std::array{45, 0, 255});  // 20 30 / 60 70
  CHECK(thumbnail(picture, 4).rgb == picture.rgb);
  const RgbPicture thin = thumbnail({1000, 1, plain(1000, 1, 1, 2, 3)}, 16);
  CHECK(thin.width == 16);
  CHECK(thin.height == 1);
  const RgbPicture odd = thumbnail({37, 53, plain(37, 53, 9, 8, 7)}, 20);
  CHECK(odd.width == 14);
  CHECK(odd.height == 20);
  CHECK(odd.rgb == plain(14, 20, 9, 8, 7));
}

TEST_CASE("a contact sheet shows pictures in a grid, row by row") {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 5; ++i) {
    paths.push_back(folder.path() / (std::to_string(i) + ".png"));
    const auto rgb = plain(64, i == 1 ? 32 : 64, static_cast<std::uint8_t>(40 * i), 10, 20);
    write_file_atomically(paths.back(), encode_png(64, i == 1 ? 32 : 64, rgb, {}));
  }
  std::filesystem::remove(paths[3]);
  const auto sheet = folder.path() / "sheet.png";
  const ContactSheetResult result = write_contact_sheet(paths, sheet, {.edge = 32});
  CHECK(result.unreadable == 1);
  CHECK(result.left_out == 0);
  const auto picture = read_png(sheet);
  REQUIRE(picture.has_value());
  CHECK(picture->width == 3 * 36 + 4);
  CHECK(picture->height == 2 * 36 + 4);
  CHECK(pixel(*picture, 0, 0) == std::array{255, 255, 255});
  CHECK(pixel(*picture, 4, 4) == std::array{0, 10, 20});
  CHECK(pixel(*picture, 40, 4) == std::array{255, 255, 255});  // a low picture in its square cell
  CHECK(pixel(*picture, 40, 12) == std::array{40, 10, 20});
  CHECK(pixel(*picture, 107, 35) == std::array{80, 10, 20});
  CHECK(pixel(*picture, 4, 40) == std::array{128, 128, 128});
  CHECK(pixel(*picture, 40, 71) == std::array{160, 10, 20});
  CHECK(pixel(*picture, 76, 40) == std::array{255, 255, 255});

  CHECK(write_contact_sheet(paths, sheet, {.edge = 16, .columns = 5}).height == 24);
  CHECK(write_contact_sheet(paths, sheet, {.edge = 16, .columns = 1}).width == 24);
  CHECK(write_contact_sheet(paths, sheet, {.edge = 4096, .columns = 1}).height <= 64'000'000);
  CHECK_THROWS_AS(write_contact_sheet({}, sheet), ConfigError);
  CHECK_THROWS_AS(write_contact_sheet(paths, sheet, {.edge = 0}), ConfigError);
  CHECK_THROWS_AS(write_contact_sheet(paths, folder.path() / "no" / "s.png"), Error);
}

TEST_CASE("labels stand under the pictures, as far as there is room") {
  const TemporaryFolder folder;
  PictureJob job;
  job.prompt = "one two three four five";
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 3; ++i) {
    paths.push_back(folder.path() / ("00000" + std::to_string(i) + ".png"));
    if (i == 1) job.prompt = "\xE6\x97\xA5";
    write_file_atomically(paths.back(),
                          encode_png(96, 96, plain(96, 96, 200, 0, 0),
                                     i == 2 ? std::vector<PngText>{} : picture_texts(job, {})));
  }
  const auto sheet = folder.path() / "sheet.png";
  const ContactSheetResult result =
      write_contact_sheet(paths, sheet, {.edge = 96, .columns = 2, .labels = true});
  CHECK(result.framed_labels == 1);
  const auto picture = read_png(sheet);
  REQUIRE(picture.has_value());
  constexpr int kRow = 96 + 4 + 3 * 13 + 4;
  CHECK(picture->width == 2 * 100 + 4);
  CHECK(picture->height == 2 * kRow + 4);
  // The same label drawn by itself: the name and as many words as fit 16 letters.
  RgbPicture label{96, 39, plain(96, 39, 255, 255, 255)};
  draw_letters(U"000000 one two", 0, 0, 32, label);
  draw_letters(U"three four five", 0, 13, 32, label);
  for (int y = 0; y < 39; ++y) {
    for (int x = 0; x < 96; ++x) CHECK(pixel(*picture, 4 + x, 104 + y) == pixel(label, x, y));
  }
  CHECK(pixel(*picture, 4, 4 + kRow) == std::array{200, 0, 0});

  CHECK(write_contact_sheet(paths, sheet, {.edge = 40, .columns = 3, .labels = true}).height ==
        40 + 4 + 13 + 4 + 4);
  CHECK(write_contact_sheet(paths, sheet, {.edge = 39, .columns = 3, .labels = true}).height == 47);
}
