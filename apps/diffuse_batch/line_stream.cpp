#include "apps/diffuse_batch/line_stream.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kGather{1000};
constexpr int kLookMilliseconds = 50;
constexpr std::size_t kBlock = std::size_t{1} << 16;
// What is longer has no line ends, and may never end: a device, or a picture.
constexpr std::size_t kEndless = std::size_t{64} << 20;

}  // namespace

LineStream::LineStream(int descriptor, std::size_t line_bytes)
    : descriptor_(descriptor), line_bytes_(line_bytes) {}

bool LineStream::take_line(std::vector<Line>& lines) {
  const std::size_t end = buffer_.find('\n', at_);
  const bool whole = end != std::string::npos;
  const std::size_t part = (whole ? end : buffer_.size()) - at_;
  // Two bytes more than allowed: a CR before the line end, and the one that shows the excess.
  const std::size_t room = line_bytes_ + 2 - std::min(line_.size(), line_bytes_ + 2);
  line_.append(buffer_, at_, std::min(part, room));
  open_ = open_ || part > 0;
  at_ += whole ? part + 1 : part;
  length_ += part;
  if (length_ > kEndless) {
    throw InputError(ExitCode::bad_list, "prompt list 'standard input': line " +
                                             std::to_string(number_ + 1) +
                                             " has no end within 64 MiB; is it a list of prompts?");
  }
  if (!whole && !(ended_ && open_)) return false;
  lines.push_back({++number_, std::exchange(line_, std::string())});
  open_ = false;
  length_ = 0;
  return true;
}

void LineStream::wait_and_read(int milliseconds) {
  pollfd wanted{descriptor_, POLLIN, 0};
  const int ready = ::poll(&wanted, 1, milliseconds);
  if (ready <= 0) return;
  buffer_.resize(kBlock);
  at_ = 0;
  const ssize_t got = ::read(descriptor_, buffer_.data(), buffer_.size());
  buffer_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got < 0) {
    throw InputError(ExitCode::bad_list, std::string("prompt list 'standard input' cannot be "
                                                     "read: ") +
                                             std::strerror(errno));
  }
  ended_ = got == 0;
}

std::vector<LineStream::Line> LineStream::next(std::size_t most,
                                               const std::function<bool()>& stop) {
  std::vector<Line> lines;
  Clock::time_point until = Clock::time_point::max();
  while (lines.size() < most && !stop()) {
    if (take_line(lines)) {
      until = std::min(until, Clock::now() + kGather);
      continue;
    }
    const Clock::time_point now = Clock::now();
    if (ended_ || now >= until) break;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - now).count();
    wait_and_read(static_cast<int>(std::min<std::int64_t>(kLookMilliseconds, left + 1)));
  }
  return lines;
}

}  // namespace diffuse
