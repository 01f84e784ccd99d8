#include "apps/diffuse_batch/exchange.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "core/pipeline/job_codec.hpp"

namespace diffuse {
namespace {

constexpr int kTag = 1;

// First byte of a message: what the rest is.
constexpr char kResults = 'R';  // to root: packed results
constexpr char kWanted = 'W';   // to root: number of batches, in digits
constexpr char kJobs = 'J';     // from root: packed jobs, none if there are no more
constexpr char kStop = 'S';     // to root and from root: a Stop, in digits

// Between two looks for messages: at once again while there are any, then more and more seldom.
constexpr std::chrono::microseconds kShortest{100};
constexpr std::chrono::microseconds kLongest{10'000};

std::size_t number_in(std::string_view digits) {
  std::size_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

Exchange::Exchange(const Setup& setup) : setup_(setup), thread_([this] { work(); }) {}

Exchange::~Exchange() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Exchange::tell(const RenderResult& result) {
  {
    const std::lock_guard lock(mutex_);
    told_.push_back(result);
  }
  changed_.notify_one();
}

void Exchange::at_step(int step, int steps) {
  step_.store(step, std::memory_order_relaxed);
  steps_.store(steps, std::memory_order_relaxed);
}

bool Exchange::finish() {
  {
    const std::lock_guard lock(mutex_);
    through_ = true;
  }
  changed_.notify_one();
  thread_.join();
  if (failure_) std::rethrow_exception(failure_);
  return jobs_left_ || (setup_.pool != nullptr && !setup_.pool->empty());
}

void Exchange::work() {
  try {
    std::chrono::microseconds pause = kShortest;
    bool through = false;
    while (!through || !setup_.comm.all_through()) {
      pause = turn() ? kShortest : std::min(2 * pause, kLongest);
      if (through) continue;  // all_through() sleeps
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, pause, [&] { return through_ || abandoned_ || !told_.empty(); });
      if (abandoned_) return;
      through = through_;
    }
    send_results();
    closing_ = true;
    for (const mpi::Message& message : setup_.comm.finish_posts(kTag)) take(message);
  } catch (...) {
    failure_ = std::current_exception();
    request_stop(Stop::at_once);  // the rendering is for nobody
  }
}

bool Exchange::turn() {
  const bool sent = send_results();
  const bool received = receive();
  pass_stop_on();
  fetch_jobs();
  if (setup_.tick) setup_.tick(step_.load(), steps_.load());
  return sent || received;
}

void Exchange::post(int to, char kind, std::string_view bytes) {
  std::string message(1, kind);
  message += bytes;
  setup_.comm.post(to, kTag, std::move(message));
}

bool Exchange::send_results() {
  std::vector<RenderResult> results;
  {
    const std::lock_guard lock(mutex_);
    results.swap(told_);
  }
  if (results.empty()) return false;
  if (setup_.comm.is_root()) {
    for (const RenderResult& result : results) setup_.report(result);
  } else {
    post(0, kResults, pack_results(results));
  }
  return true;
}

bool Exchange::receive() {
  bool any = false;
  while (const auto message = setup_.comm.poll(kTag)) {
    take(*message);
    any = true;
  }
  return any;
}

void Exchange::take(const mpi::Message& message) {
  const std::string_view rest = std::string_view(message.bytes).substr(1);
  switch (message.bytes.front()) {
    case kResults:
      for (const RenderResult& result : unpack_results(rest)) setup_.report(result);
      break;
    case kWanted:
      // At the end nobody waits for an answer, and it would be left for the next round.
      if (!closing_) answer(message.source, number_in(rest));
      break;
    case kJobs: {
      std::vector<RenderJob> jobs = unpack_jobs(rest);
      // Who is through has no use for them: a stop came between.
      const std::lock_guard lock(mutex_);
      if (through_) {
        jobs_left_ = jobs_left_ || !jobs.empty();
      } else {
        setup_.fetched->arrived(std::move(jobs));
      }
      break;
    }
    default:
      request_stop(static_cast<Stop>(number_in(rest)));
  }
}

void Exchange::pass_stop_on() {
  const Stop stop = stop_requested();
  if (stop <= passed_on_) return;
  passed_on_ = stop;
  const std::string digits = std::to_string(static_cast<int>(stop));
  const mpi::Communicator& comm = setup_.comm;
  if (!comm.is_root()) return post(0, kStop, digits);
  for (int rank = 1; rank < comm.size(); ++rank) post(rank, kStop, digits);
}

void Exchange::fetch_jobs() {
  const std::size_t wanted = setup_.fetched == nullptr ? 0 : setup_.fetched->wanted();
  if (wanted == 0) return;
  if (setup_.comm.is_root()) {
    answer(0, wanted);
  } else {
    post(0, kWanted, std::to_string(wanted));
  }
}

void Exchange::answer(int rank, std::size_t wanted) {
  // Near the end of the list chunks get smaller, so that no rank is left with many.
  const auto ranks = static_cast<std::size_t>(setup_.comm.size());
  const std::size_t fair = std::max<std::size_t>(1, setup_.pool->batches() / (2 * ranks));
  std::vector<RenderJob> jobs = setup_.pool->take(std::min(wanted, fair));
  if (rank == 0) {
    setup_.fetched->arrived(std::move(jobs));
  } else {
    post(rank, kJobs, pack_jobs(jobs));
  }
}

}  // namespace diffuse
