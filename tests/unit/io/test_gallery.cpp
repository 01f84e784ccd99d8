#include <openssl/evp.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/io/gallery.hpp"
#include "core/io/manifest.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;
using nlohmann::json;

namespace {

const std::vector<std::string> kHostile = {
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "<img src=x onerror=\"alert(1)\">",
    "]]> & &lt; ' \" \\ \\u003c `${1}`",
    "line\xE2\x80\xA8separator\xE2\x80\xA9 \xE2\x80\xAE\x01\x7F",
    "\xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80",
};

ManifestRecord record_of(std::int64_t index, const std::string& text) {
  ManifestRecord record;
  record.index = index;
  record.line = index + 1;
  record.job.prompt = text;
  record.job.negative_prompt = text;
  record.job.seed = 18446744073709551615U;
  record.name = text;
  record.path = "000/" + text + ".png";
  record.host = text;
  record.note = text;
  record.metadata = json(text).dump();
  record.milliseconds = 10 * index;
  record.rank = 3;
  return record;
}

/// The text between `begin` and the next `end` in the page, as an HTML parser would see it.
std::string between(const std::string& page, const std::string& begin, const std::string& end) {
  const std::size_t from = page.find(begin);
  REQUIRE(from != std::string::npos);
  const std::size_t to = page.find(end, from + begin.size());
  REQUIRE(to != std::string::npos);
  return page.substr(from + begin.size(), to - from - begin.size());
}

json table(const std::string& page, const std::string& id) {
  return json::parse(
      between(page, "<script type=\"application/json\" id=\"" + id + "\">", "</script>"));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("hostile texts come back from the page as they were, and are never markup") {
  const TemporaryFolder folder;
  std::string manifest;
  for (std::size_t i = 0; i < kHostile.size(); ++i) {
    manifest += manifest_line(record_of(static_cast<std::int64_t>(i), kHostile[i])) + '\n';
  }
  ManifestRecord failed = record_of(77, "x");
  failed.status = RecordStatus::failed;
  failed.error = kHostile[0];
  failed.path.clear();
  put(folder.path() / kManifestName, manifest + manifest_line(failed) + "\nnot a record\n");

  const GalleryReport report = write_gallery(folder.path());
  CHECK(report.records == 7);
  CHECK(report.failed == 1);
  CHECK(report.left_out == 0);
  const std::string page = content_of(folder.path() / kGalleryName);
  const json records = table(page, "records");
  const json hosts = table(page, "hosts");
  const json settings = table(page, "settings");
  REQUIRE(records.size() == 7);
  for (std::size_t i = 0; i < kHostile.size(); ++i) {
    const std::string& text = kHostile[i];
    const json& row = records[i];
    CHECK(row[0] == i);
    CHECK(row[1] == i + 1);
    CHECK(row[2] == text);
    CHECK(row[3] == text);
    CHECK(row[4] == "18446744073709551615");  // a number would lose digits in a browser
    CHECK(row[5] == "000/" + text + ".png");
    CHECK(row[6].is_null());
    CHECK(row[7] == 10 * i);
    CHECK(row[8] == 3);
    CHECK(hosts[row[9].get<std::size_t>()] == text);
    CHECK(settings[row[10].get<std::size_t>()]["negative_prompt"] == text);
    CHECK(row[11] == text);
    CHECK(json::parse(row[12].get<std::string>()) == text);
  }
  CHECK(records[6][0] == 77);
  CHECK(records[6][5].is_null());
  CHECK(records[6][6] == kHostile[0]);

  // Three tables and the page's own script; nothing of a text, and no character that ends one.
  CHECK(count(page, "<script") == 4);
  CHECK(count(page, "</script") == 4);
  CHECK(count(page, "<!--") == 0);
  CHECK(count(page, "<img") == 0);
  CHECK(count(page, "\xE2\x80\xA8") == 0);
}

TEST_CASE("the page needs nothing from elsewhere, and its policy names its own script") {
  const TemporaryFolder folder;
  CHECK(write_gallery(folder.path()).records == 0);
  const std::string page = content_of(folder.path() / kGalleryName);
  CHECK(table(page, "records").empty());
  for (const char* foreign : {"http:", "https:", "src=", "@import", "url("}) {
    CHECK(count(page, foreign) == 0);
  }
  const std::string policy =
      between(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\"");
  CHECK(policy.starts_with("default-src 'none'; "));
  CHECK(count(policy, "unsafe") == 0);
  for (const std::string element : {"style", "script"}) {
    const std::string text = between(page, "<" + element + ">", "</" + element + ">");
    REQUIRE_FALSE(text.empty());
    unsigned char digest[32];
    EVP_Digest(text.data(), text.size(), digest, nullptr, EVP_sha256(), nullptr);
    unsigned char base64[64];
    EVP_EncodeBlock(base64, digest, 32);
    CHECK(count(policy, element + "-src 'sha256-" + reinterpret_cast<char*>(base64) + "'") == 1);
  }
}

TEST_CASE("settings and hosts that records share are told once") {
  const TemporaryFolder folder;
  std::string manifest;
  for (std::int64_t i = 0; i < 9; ++i) {
    ManifestRecord record = record_of(i, "same");
    record.job.num_inference_steps = i < 6 ? 50 : 20;
    record.host = i % 2 == 0 ? "a" : "b";
    manifest += manifest_line(record) + '\n';
  }
  put(folder.path() / kManifestName, manifest);
  write_gallery(folder.path());
  const std::string page = content_of(folder.path() / kGalleryName);
  CHECK(table(page, "hosts") == json({"a", "b"}));
  const json settings = table(page, "settings");
  REQUIRE(settings.size() == 2);
  CHECK(settings[0]["num_inference_steps"] == 50);
  CHECK(table(page, "records")[8][10] == 1);
}

TEST_CASE("a gallery is replaced, another file is not") {
  const TemporaryFolder folder;
  const auto page = folder.path() / kGalleryName;
  write_gallery(folder.path());
  put(folder.path() / kManifestName, manifest_line(record_of(0, "x")) + "\n");
  CHECK(write_gallery(folder.path()).records == 1);
  CHECK(table(content_of(page), "records").size() == 1);
  for (const std::string foreign : {"<!DOCTYPE html>\n<html><title>mine</title></html>", ""}) {
    put(page, foreign);
    CHECK_THROWS_AS(write_gallery(folder.path()), InputError);
    CHECK(content_of(page) == foreign);
  }
  std::filesystem::remove(page);
  std::filesystem::create_directory(page);
  CHECK_THROWS_AS(write_gallery(folder.path()), InputError);
  CHECK(names_in(folder.path()).size() == 2);
}
