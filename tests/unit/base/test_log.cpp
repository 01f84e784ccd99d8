#include <unistd.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "core/base/error.hpp"
#include "core/base/log.hpp"

using namespace diffuse;

namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// Standard error, sent to a file while this lives.
class Captured {
 public:
  explicit Captured(fs::path path) : path_(std::move(path)), saved_(dup(STDERR_FILENO)) {
    REQUIRE(std::freopen(path_.c_str(), "w", stderr) != nullptr);
  }
  ~Captured() {
    std::fflush(stderr);
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  [[nodiscard]] std::string text() const { return contents(path_); }

 private:
  fs::path path_;
  int saved_;
};

struct Folder {
  fs::path path = fs::temp_directory_path() / ("diffuse_log_" + std::to_string(getpid()));
  Folder() { fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

/// What of "debug info warn" comes to standard error.
std::string heard(const Folder& folder, const std::string& level, bool quiet, int rank,
                  const std::string& file = "") {
  const Captured captured(folder.path / "stderr");
  set_up_log(level, quiet, rank, 8, file);
  log()->debug("d");
  log()->info("i");
  log()->warn("w");
  std::string seen;
  std::istringstream lines(captured.text());
  for (std::string line; std::getline(lines, line);) {
    CHECK(line.find("rank " + std::to_string(rank) + "/8 ") != std::string::npos);
    seen += line.back();
  }
  return seen;
}

}  // namespace

TEST_CASE("rank 0 says what was asked for, the others only what is wrong") {
  const Folder folder;
  CHECK(heard(folder, "info", false, 0) == "iw");
  CHECK(heard(folder, "info", false, 2) == "w");
  CHECK(heard(folder, "debug", false, 0) == "diw");
  CHECK(heard(folder, "debug", false, 2) == "diw");
  CHECK(heard(folder, "error", false, 2).empty());
  CHECK(heard(folder, "info", true, 0) == "w");
  CHECK(heard(folder, "debug", true, 2) == "w");
  CHECK(heard(folder, "off", true, 0).empty());
}

TEST_CASE("the file gets all of the level, one for each rank") {
  const Folder folder;
  const std::string file = folder.path / "run.log";
  CHECK(heard(folder, "info", true, 0, file) == "w");
  CHECK(heard(folder, "info", true, 3, file) == "w");
  for (const std::string& name : {file, file + ".3"}) {
    const std::string text = contents(name);
    CHECK(text.find("info: i\n") != std::string::npos);
    CHECK(text.find("warning: w\n") != std::string::npos);
    CHECK(text.find("debug") == std::string::npos);
  }
  set_up_log("off", false, 0, 1, "");  // lets go of the file
}

TEST_CASE("the rank may stand anywhere in the name of the file") {
  const Folder folder;
  for (const int rank : {0, 12}) {
    heard(folder, "info", true, rank, folder.path / "{rank}-of-8.{rank}.log");
    heard(folder, "info", true, rank, folder.path / "{rank}-of-8.{rank}.log");
    const std::string digits = std::to_string(rank);
    const std::string text = contents(folder.path / (digits + "-of-8." + digits + ".log"));
    CHECK(std::count(text.begin(), text.end(), '\n') == 4);  // a second start continues it
  }
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 3);
  set_up_log("off", false, 0, 1, "");
}

TEST_CASE("what is on the terminal hears of a line before it is written, and of no other") {
  const Folder folder;
  int heard_of = 0;
  {
    const Captured captured(folder.path / "stderr");
    set_up_log("info", true, 0, 1, folder.path / "run.log");
    set_before_log([&] {
      ++heard_of;
      std::fputs("before ", stderr);
    });
    log()->info("goes to the file alone");
    log()->warn("w");
    set_before_log({});
    log()->warn("later");
    const std::string text = captured.text();
    CHECK(text.find("before ") == 0);
    CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  }
  CHECK(heard_of == 1);
  set_up_log("off", false, 0, 1, "");
}

TEST_CASE("unknown levels and files that cannot be are refused") {
  CHECK_THROWS_AS(set_up_log("loud", false, 0, 1, ""), ConfigError);
  CHECK_THROWS_AS(set_up_log("", false, 0, 1, ""), ConfigError);
  CHECK_THROWS_AS(set_up_log("info", false, 0, 1, "/proc/nowhere/run.log"), ConfigError);
}
