#include "core/base/log.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr const char* kPattern = "%T %n %l: %v";

std::mutex hook_mutex;
std::function<void()>& hook() {
  static std::function<void()> installed;
  return installed;
}

/// Stands before the sink to standard error and writes nothing.
class HookSink final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& /*message*/) override {
    const std::lock_guard lock(hook_mutex);
    if (hook()) hook()();
  }
  void flush_() override {}
};

spdlog::level::level_enum level_named(const std::string& name) {
  using Named = std::pair<const char*, spdlog::level::level_enum>;
  constexpr std::array kLevels = {
      Named{"trace", spdlog::level::trace}, Named{"debug", spdlog::level::debug},
      Named{"info", spdlog::level::info},   Named{"warn", spdlog::level::warn},
      Named{"error", spdlog::level::err},   Named{"off", spdlog::level::off}};
  for (const auto& [known, level] : kLevels) {
    if (name == known) return level;
  }
  throw ConfigError("--log-level " + printable(name) +
                    " is not known, so nothing would be reported as meant; give trace, debug, "
                    "info, warn, error or off");
}

/// The file of one rank.
std::string log_file_name(std::string pattern, int rank) {
  constexpr std::string_view kRank = "{rank}";
  std::size_t at = pattern.find(kRank);
  if (at == std::string::npos && rank > 0) return pattern + '.' + std::to_string(rank);
  const std::string digits = std::to_string(rank);
  for (; at != std::string::npos; at = pattern.find(kRank, at + digits.size())) {
    pattern.replace(at, kRank.size(), digits);
  }
  return pattern;
}

}  // namespace

void set_up_log(const std::string& level, bool quiet, int rank, int size, const std::string& file) {
  const spdlog::level::level_enum wanted = level_named(level);
  const bool only_warnings = quiet || (rank != 0 && wanted > spdlog::level::debug);
  auto to_stderr = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  to_stderr->set_level(only_warnings ? std::max(wanted, spdlog::level::warn) : wanted);

  auto before = std::make_shared<HookSink>();
  before->set_level(to_stderr->level());
  std::vector<spdlog::sink_ptr> sinks = {before, to_stderr};
  if (!file.empty()) {
    const std::string name = log_file_name(file, rank);
    try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(name));
    } catch (const spdlog::spdlog_ex& error) {
      throw ConfigError("--log-file " + printable(name) + " cannot be written (" +
                        printable(error.what()) + "); name a file in a folder that exists");
    }
    sinks.back()->set_level(wanted);
  }

  const std::string name = "rank " + std::to_string(rank) + "/" + std::to_string(size);
  auto logger = std::make_shared<spdlog::logger>(name, sinks.begin(), sinks.end());
  logger->set_level(wanted);
  logger->set_pattern(kPattern);
  logger->flush_on(spdlog::level::trace);  // a rank that is killed has said what it knew
  spdlog::set_default_logger(std::move(logger));
}

void set_before_log(std::function<void()> wanted) {
  const std::lock_guard lock(hook_mutex);
  hook() = std::move(wanted);
}

std::shared_ptr<spdlog::logger> log() {
  static const bool started = [] {
    // spdlog's own first logger writes to standard output, which carries paths.
    if (spdlog::default_logger()->name().empty()) set_up_log("info", false, 0, 1, "");
    return true;
  }();
  (void)started;
  return spdlog::default_logger();
}

}  // namespace diffuse
