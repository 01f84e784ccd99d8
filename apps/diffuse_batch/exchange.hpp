#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "apps/diffuse_batch/job_source.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// What travels between ranks while they render: results to root, chunks of jobs from root, and
/// requests to stop to everybody. A thread of its own looks after all of it, so that an answer
/// never waits for the end of a long op, and the rendering thread never waits for a message. It is
/// the only thread that uses MPI and reports from the construction to finish().
///
/// Why messages and a thread: one-sided operations do not progress over tcp while the target
/// computes, and MPI_THREAD_SERIALIZED (one thread at a time) is all that every MPI offers.
class Exchange {
 public:
  struct Setup {
    const mpi::Communicator& comm;
    std::function<void(const RenderResult&)> report;  ///< on root: a job of any rank ended
    std::function<void(int step, int steps)> tick;    ///< on root, often: root's batch in hand
    BatchQueue* pool = nullptr;      ///< on root, where jobs are fetched: those that nobody has yet
    FetchedJobs* fetched = nullptr;  ///< where jobs are fetched
  };

  /// Collective.
  explicit Exchange(const Setup& setup);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  /// Without finish(), for an exception on its way: the thread ends, the other ranks are left
  /// alone.
  ~Exchange();

  /// Any thread: a result for root.
  void tell(const RenderResult& result);
  /// Any thread: where the batch in hand is; root shows its own.
  void at_step(int step, int steps);

  /// Collective, when this rank has rendered all it can: goes on until all ranks are through and
  /// every message has been taken. True if jobs are left that were for this rank and that it has
  /// not begun. Throws what the thread met.
  bool finish();

 private:
  void work();
  bool turn();
  bool send_results();
  bool receive();
  void take(const mpi::Message& message);
  void pass_stop_on();
  void fetch_jobs();
  void answer(int rank, std::size_t wanted);
  void post(int to, char kind, std::string_view bytes);

  Setup setup_;
  std::mutex mutex_;  // guards told_ and through_
  std::condition_variable changed_;
  std::vector<RenderResult> told_;
  bool through_ = false;
  bool abandoned_ = false;
  std::atomic<int> step_{0}, steps_{0};

  // Of the thread.
  Stop passed_on_ = Stop::no;
  bool jobs_left_ = false;
  bool closing_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace diffuse
