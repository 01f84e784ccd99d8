#include "core/base/progress.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace diffuse {
namespace {

constexpr double kBarInterval = 0.1;
constexpr double kLineInterval = 30;
constexpr double kMostSeconds = 999.0 * 86'400;
constexpr std::size_t kLeastBar = 20;
constexpr std::size_t kMostBar = 40;

std::string formatted(const char* format, double value) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

/// Three digits that matter: "0.0123/s", "1.53/s", "127/s".
std::string rate_text(double rate) {
  if (rate >= 100) return formatted("%.0f/s", rate);
  if (rate >= 10) return formatted("%.1f/s", rate);
  if (rate >= 0.1) return formatted("%.2f/s", rate);
  return formatted("%.4f/s", rate);
}

}  // namespace

std::string duration_text(double seconds) {
  if (!(seconds >= 0)) seconds = 0;
  const auto whole = static_cast<std::int64_t>(std::lround(std::min(seconds, kMostSeconds)));
  const auto part = [](std::int64_t value) { return static_cast<int>(value % 100); };
  std::array<char, 48> text{};
  if (whole >= 86'400) {
    std::snprintf(text.data(), text.size(), "%dd %02dh", static_cast<int>(whole / 86'400),
                  part(whole / 3'600 % 24));
  } else if (whole >= 3'600) {
    std::snprintf(text.data(), text.size(), "%d:%02d:%02d", part(whole / 3'600),
                  part(whole / 60 % 60), part(whole % 60));
  } else {
    std::snprintf(text.data(), text.size(), "%d:%02d", part(whole / 60), part(whole % 60));
  }
  return text.data();
}

std::string progress_line(const ProgressState& state, std::size_t columns) {
  std::string line;
  const auto add = [&](const std::string& part) {
    const std::string with = line.empty() ? part : ", " + part;
    if (line.size() + with.size() <= columns) line += with;
  };
  const std::int64_t there = state.kept + state.done;
  add(std::to_string(there) + (state.total < 0 ? "" : "/" + std::to_string(state.total)) +
      " pictures");
  if (state.failed > 0) add(std::to_string(state.failed) + " failed");
  const double rate = state.seconds > 0 ? static_cast<double>(state.done) / state.seconds : 0;
  if (rate > 0) {
    add(rate_text(rate));
    if (there < state.total) {
      add(duration_text(static_cast<double>(state.total - there) / rate) + " left");
    } else if (state.total >= 0) {
      add("in " + duration_text(state.seconds));
    }
  }
  if (state.steps > 0 && rate < 1) {
    add("step " + std::to_string(state.step) + "/" + std::to_string(state.steps));
  }
  if (!state.ranks.empty()) {
    std::string counts = "ranks";
    for (const std::int64_t count : state.ranks) counts += " " + std::to_string(count);
    add(counts);
  }
  return line;
}

std::string progress_bar(const ProgressState& state, std::size_t columns) {
  std::string line = progress_line(state, columns);
  if (state.total <= 0 || line.size() + kLeastBar + 3 > columns) return line;
  const std::size_t width = std::min(columns - line.size() - 3, kMostBar);
  const double share = std::clamp(
      static_cast<double>(state.kept + state.done) / static_cast<double>(state.total), 0.0, 1.0);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  std::string bar(full, '=');
  if (bar.size() < width) bar += '>';
  bar.resize(width, ' ');
  return "[" + bar + "] " + line;
}

Progress::Progress(const Settings& settings, Clock clock, Sink sink)
    : settings_(settings), clock_(std::move(clock)), sink_(std::move(sink)) {
  if (settings_.interval <= 0) {
    settings_.interval = settings_.mode == ProgressMode::bar ? kBarInterval : kLineInterval;
  }
  state_.total = settings_.total;
  state_.kept = settings_.kept;
  state_.ranks.resize(settings_.ranks);
  began_ = clock_();
  told_ = began_;
  const std::lock_guard lock(mutex_);
  // A log learns about the run with its first picture.
  if (settings_.mode == ProgressMode::bar) tell(true);
}

void Progress::pictures(std::int64_t done, std::int64_t failed) {
  const std::lock_guard lock(mutex_);
  state_.done = done;
  state_.failed = failed;
  tell(!any_told_ && done > 0);
}

void Progress::add_kept(std::int64_t pictures) {
  const std::lock_guard lock(mutex_);
  state_.kept += pictures;
}

void Progress::finished_by(int rank) {
  const std::lock_guard lock(mutex_);
  const auto at = static_cast<std::size_t>(rank);
  if (at < state_.ranks.size()) ++state_.ranks[at];
}

void Progress::step(int step, int steps) {
  const std::lock_guard lock(mutex_);
  state_.step = step;
  state_.steps = steps;
  tell(false);
}

void Progress::wipe() {
  const std::lock_guard lock(mutex_);
  if (shown_ > 0) sink_("\r" + std::string(shown_, ' ') + "\r");
  shown_ = 0;
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  state_.steps = 0;
  // A log that has just been told of the last picture is not told again.
  const bool told = any_told_ && done_told_ == state_.done;
  if (settings_.mode == ProgressMode::bar || !told) tell(true);
  if (settings_.mode == ProgressMode::bar) sink_("\n");
  finished_ = true;
}

void Progress::tell(bool at_once) {
  if (settings_.mode == ProgressMode::none || finished_) return;
  const double now = clock_();
  if (!at_once && now - told_ < settings_.interval) return;
  told_ = now;
  any_told_ = true;
  done_told_ = state_.done;
  state_.seconds = now - began_;
  if (settings_.mode == ProgressMode::lines) {
    sink_(progress_line(state_, settings_.columns) + "\n");
    return;
  }
  // The last column stays free: writing there would wrap the line on some terminals.
  std::string line =
      progress_bar(state_, settings_.columns - std::min<std::size_t>(1, settings_.columns));
  const std::size_t length = line.size();
  line.resize(std::max(length, shown_), ' ');
  shown_ = length;
  sink_("\r" + line);
}

}  // namespace diffuse
