#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "core/base/error.hpp"
#include "core/io/manifest.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;
namespace fs = std::filesystem;

namespace {

ManifestRecord record_of(std::int64_t index, const std::string& prompt = "a cat") {
  ManifestRecord record;
  record.index = index;
  record.line = index + 1;
  record.path = std::to_string(index) + ".png";
  record.job.prompt = prompt;
  record.job.seed = 0xFFFFFFFFFFFFFFFFU;
  record.job.width = 512;
  record.job.height = 256;
  record.job.num_inference_steps = 30;
  record.job.guidance_scale = 7.5;
  record.job_hash = job_hash(record.job);
  record.sha256 = std::string(64, 'a');
  record.bytes = 12345;
  record.modified = 1'700'000'000'123'456'789;
  record.milliseconds = 17;
  record.rank = 3;
  record.host = "node7";
  return record;
}

ManifestHead head_of(const ManifestRecord& record) {
  return {record.index, record.line,   record.status, record.job_hash,
          record.path,  record.sha256, record.bytes,  record.modified};
}

std::vector<ManifestRecord> records_in(const fs::path& path) {
  std::vector<ManifestRecord> records;
  ManifestReader reader(path);
  while (const auto line = reader.next()) {
    const auto record = parse_manifest_line(line->text);
    REQUIRE(record);
    CHECK(record->index == line->index);
    CHECK(parse_manifest_head(line->text) == head_of(*record));
    records.push_back(*record);
  }
  return records;
}

fs::path only_shard(const fs::path& folder) {
  const auto names = names_in(folder / kShardFolderName);
  REQUIRE(names.size() == 1);
  return folder / kShardFolderName / names.front();
}

/// The manifest that has these lines, each with its line end.
std::string text_of(const std::vector<ManifestRecord>& records) {
  std::string text;
  for (const ManifestRecord& record : records) text += manifest_line(record) + "\n";
  return text;
}

}  // namespace

TEST_CASE("a record is one line of JSON and comes back as it was") {
  ManifestRecord record = record_of(41, "a \"cat\"\n\\ with \xF0\x9F\x90\xB1 and \x01");
  record.name = "hero/shot 1";
  record.status = RecordStatus::failed;
  record.error = "the latents are not finite";
  record.metadata = R"({"shot":[1,2.5,null]})";
  record.note = "adopted";
  record.path = "a \"strange\\ \n name.png";
  record.job.noise_grid = 256;
  record.job.negative_prompt = "blurry, \xE2\x80\xAE";
  const std::string line = manifest_line(record);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(manifest_line_index(line) == 41);
  CHECK(parse_manifest_line(line) == record);
  CHECK(parse_manifest_head(line) == head_of(record));

  // What another program sees.
  const auto json = nlohmann::json::parse(line);
  CHECK(json.at("prompt") == record.job.prompt);
  CHECK(json.at("seed") == 0xFFFFFFFFFFFFFFFFU);
  CHECK(json.at("settings").at("guidance_scale") == 7.5);
  CHECK(json.at("settings").at("negative_prompt") == record.job.negative_prompt);
  CHECK(json.at("metadata").at("shot").at(1) == 2.5);
  CHECK(json.at("status") == "failed");

  // The check sum is the CRC-32 of PNG and gzip: that of "123456789" is CBF43926, and ours is that
  // of the bytes before its key, here computed bit by bit.
  const std::string body = line.substr(0, line.rfind(",\"crc32\""));
  std::uint32_t sum = 0xFFFFFFFFU;
  for (const char c : body) {
    sum ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1U ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  CHECK(std::stoul(json.at("crc32").get<std::string>(), nullptr, 16) == (sum ^ 0xFFFFFFFFU));
}

TEST_CASE("records of texts that are no UTF-8, and of metadata that is no JSON") {
  ManifestRecord record = record_of(0);
  record.path = "na\xFFme.png";
  record.host = "h\xC0";
  const auto back = parse_manifest_line(manifest_line(record));
  REQUIRE(back);
  CHECK(back->path == "na\xEF\xBF\xBDme.png");
  CHECK(parse_manifest_head(manifest_line(record))->path == "na\xEF\xBF\xBDme.png");
  record.metadata = "{";
  CHECK_THROWS_AS(manifest_line(record), Error);
  record.metadata = std::string(100, '[') + std::string(100, ']');
  CHECK_THROWS_AS(manifest_line(record), Error);
  record.metadata.clear();
  record.job.prompt = std::string(kMaxRecordBytes, 'x');
  CHECK_THROWS_AS(manifest_line(record), Error);
}

TEST_CASE("a damaged line is no record, wherever the damage is") {
  const std::string line = manifest_line(record_of(7));
  for (std::size_t length = 0; length < line.size(); ++length) {
    CHECK_FALSE(manifest_line_index(line.substr(0, length)));
  }
  for (std::size_t at = 0; at < line.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = line;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      // The digits of the sum may turn from lower to upper case and no further.
      CHECK_FALSE(parse_manifest_line(damaged));
    }
  }
  CHECK_FALSE(manifest_line_index(line + " "));
}

TEST_CASE("lines with a right check sum and wrong contents are no records") {
  const ManifestRecord record = record_of(7);
  const std::string good = manifest_line(record);
  // Signs a changed line anew: what a program of another version, or malice, would write.
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string body = good.substr(0, good.rfind(",\"crc32\""));
    REQUIRE(body.find(from) != std::string::npos);
    body.replace(body.find(from), from.size(), to);
    std::uint32_t sum = 0xFFFFFFFFU;
    for (const char c : body) {
      sum ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) sum = sum >> 1U ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", sum ^ 0xFFFFFFFFU);
    return body + ",\"crc32\":\"" + digits + "\"}";
  };
  CHECK(parse_manifest_line(with("\"rank\":3", "\"rank\":4"))->rank == 4);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"bytes\":12345", "\"bytes\":-1"},
           {"\"bytes\":12345", "\"bytes\":\"1\""},
           {"\"line\":8,", "\"lime\":8,"},
           {"\"line\":8,", ""},
           {"\"status\":\"ok\"", "\"status\":\"fine\""},
           {"\"path\":\"7.png\"", "\"path\":\"7.png\\"},
           {"\"path\":\"7.png\"", "\"path\":\"\\u12\""},
           {"\"modified\":1700000000123456789", "\"modified\":99999999999999999999"}}) {
    INFO(from << " -> " << to);
    CHECK_FALSE(parse_manifest_head(with(from, to)));
  }
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"rank\":3", "\"rank\":4294967296"},
           {"\"rank\":3", "\"rank\":1e300"},
           {"\"rank\":3", "\"rank\":\"3\""},
           {"\"rank\":3", "\"rang\":3"},
           {"\"bytes\":12345", "\"bytes\":-1"},
           {"\"seed\":18446744073709551615", "\"seed\":18446744073709551616"},
           {"\"status\":\"ok\"", "\"status\":\"fine\""},
           {"\"prompt\":\"a cat\"", "\"prompt\":null"},
           {"\"rank\":3", "\"rank\":3,\"path\":\"other.png\""},  // the head has the first one
           {"\"rank\":3", "\"rank\":3,\"index\":8"},
           {"\"settings\":{", "\"settings\":[{"},
           {"\"host\":\"node7\"", "\"host\":" + std::string(5000, '[')},
           {"\"index\":7", "\"index\":-7"},
           {"\"index\":7", "\"index\":99999999999999999999"}}) {
    INFO(from << " -> " << to.substr(0, 60));
    CHECK_FALSE(parse_manifest_line(with(from, to)));
  }
}

TEST_CASE("shards are merged into one record an index, the newest, in order") {
  const TemporaryFolder folder;
  CHECK(merge_manifest(folder.path()).shards == 0);
  CHECK(names_in(folder.path()).empty());
  {
    ManifestShard idle(folder.path(), 2);
    idle.sync();
    CHECK(names_in(folder.path()).empty());
    ManifestShard first(folder.path(), 0);
    ManifestShard second(folder.path(), 1);
    for (const int i : {5, 3}) second.append(record_of(i));
    for (const int i : {0, 1}) first.append(record_of(i));
    ManifestRecord failed = record_of(2);
    failed.status = RecordStatus::failed;
    first.append(failed);
    first.sync();
  }
  MergeReport report = merge_manifest(folder.path());
  CHECK(report.shards == 2);
  CHECK(report.records == 5);
  CHECK(names_in(folder.path()) == std::vector<std::string>{kManifestName});
  auto records = records_in(folder.path() / kManifestName);
  REQUIRE(records.size() == 5);
  CHECK(records[2].status == RecordStatus::failed);
  CHECK(records[3] == record_of(3));
  CHECK(records[4] == record_of(5));

  // The next run: one index anew, one again, one twice.
  {
    ManifestShard shard(folder.path(), 0);
    shard.append(record_of(4));
    shard.append(record_of(2, "first try"));
    shard.append(record_of(2, "second try"));
  }
  report = merge_manifest(folder.path());
  CHECK(report.records == 6);
  records = records_in(folder.path() / kManifestName);
  REQUIRE(records.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) CHECK(records[i].index == static_cast<std::int64_t>(i));
  CHECK(records[2] == record_of(2, "second try"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{kManifestName});
}

TEST_CASE("a shard is cut anywhere, and what is whole of it is merged") {
  const TemporaryFolder folder;
  const std::vector<ManifestRecord> all = {record_of(0), record_of(1), record_of(2)};
  const std::string text = text_of(all);
  const fs::path shards = folder.path() / kShardFolderName;
  for (std::size_t length = 0; length <= text.size(); length += 37) {
    fs::create_directory(shards);
    put(shards / "1.jsonl", text.substr(0, length));
    const MergeReport report = merge_manifest(folder.path());
    const std::string kept = text.substr(0, length);
    auto whole = static_cast<std::int64_t>(std::count(kept.begin(), kept.end(), '\n'));
    // A line that lacks nothing but its end is whole.
    if (length < text.size() && text[length] == '\n') ++whole;
    INFO("cut at " << length);
    CHECK(report.records == whole);
    CHECK(report.damaged == 0);
    CHECK(content_of(folder.path() / kManifestName) == text_of({all.begin(), all.begin() + whole}));
    fs::remove(folder.path() / kManifestName);
  }
}

TEST_CASE("a merge that dies is done again to the same end") {
  const TemporaryFolder folder;
  for (const char* point : {"before-merge:1", "after-merge:1", "before-record:2", "inside-record:2",
                            "after-record:2"}) {
    INFO(point);
    const fs::path at = folder.path() / point;
    fs::create_directory(at);
    put(at / kManifestName, text_of({record_of(0, "old"), record_of(9, "old")}));
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("DIFFUSE_BATCH_FAULT", point, 1);
      ManifestShard shard(at, 0);
      shard.append(record_of(0));
      shard.append(record_of(1));
      merge_manifest(at);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    const bool second = std::string(point).find("merge") != std::string::npos ||
                        std::string(point).starts_with("after");
    CHECK_FALSE(names_in(at / kShardFolderName).empty());
    const MergeReport report = merge_manifest(at);
    CHECK(report.torn == (std::string(point).starts_with("inside") ? 1 : 0));
    std::vector<ManifestRecord> want = {record_of(0), record_of(1), record_of(9, "old")};
    if (!second) want.erase(want.begin() + 1);
    CHECK(records_in(at / kManifestName) == want);
    CHECK_FALSE(fs::exists(at / kShardFolderName));
  }
}

TEST_CASE("hostile manifests: counted, passed over, never believed") {
  const TemporaryFolder folder;
  const fs::path shards = folder.path() / kShardFolderName;
  fs::create_directory(shards);
  const std::string good = manifest_line(record_of(3));
  std::mt19937 random(1);
  std::string noise;
  for (int i = 0; i < 300'000; ++i) noise.push_back(static_cast<char>(random() & 0xFFU));
  const auto noise_lines = std::count(noise.begin(), noise.end(), '\n');
  put(shards / "1.jsonl", "\n\n{}\nnull\n" + noise + "\n" + good + "\n");
  put(shards / "2.jsonl", std::string(20U << 20U, 'x'));  // no line end at all
  put(shards / "3.jsonl", std::string(9U << 20U, '\0') + "\n" + text_of({record_of(4)}));
  put(shards / "4.jsonl", "");
  fs::create_directory(shards / "5.jsonl");
  put(folder.path() / kManifestName, good.substr(0, 50) + "\n" + good.substr(50) + "\n");
  const MergeReport report = merge_manifest(folder.path());
  CHECK(report.records == 2);
  CHECK(report.torn == 1);
  // Four lines by hand, the noise, the last piece of the zeros, and two halves.
  CHECK(report.damaged == 4 + noise_lines + 1 + 1 + 2);
  CHECK(content_of(folder.path() / kManifestName) == text_of({record_of(3), record_of(4)}));

  fs::remove(folder.path() / kManifestName);
  fs::create_directory(folder.path() / kManifestName);
  CHECK_THROWS_AS(ManifestReader(folder.path() / kManifestName).next(), Error);
}

TEST_CASE("records on a full disk: an error, and the lines before stay whole") {
  const TemporaryFolder folder;
  const SmallFileSystem full(folder.path() / "full", "size=64k", 0);
  if (!full.mounted()) return;
  const fs::path at = folder.path() / "full";
  ManifestShard shard(at, 0);
  std::int64_t written = 0;
  try {
    for (; written < 1000; ++written) shard.append(record_of(written));
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::storage);
    CHECK(std::string(error.what()).find("No space") != std::string::npos);
  }
  CHECK(written > 20);
  CHECK(written < 1000);
  const auto records = records_in(only_shard(at));
  CHECK(static_cast<std::int64_t>(records.size()) == written);
  CHECK(content_of(only_shard(at)).back() == '\n');
  // No room for the merged file either: the shard stays.
  CHECK_THROWS_AS(merge_manifest(at), Error);
  CHECK(static_cast<std::int64_t>(records_in(only_shard(at)).size()) == written);
}
