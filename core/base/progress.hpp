#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace diffuse {

/// How far a run is, over all ranks.
struct ProgressState {
  std::int64_t total = 0;   ///< pictures of the whole list; < 0: nobody knows
  std::int64_t kept = 0;    ///< there before the run began: done, but no measure of its speed
  std::int64_t done = 0;    ///< finished in this run, failed ones included
  std::int64_t failed = 0;  ///< of those, the failed
  double seconds = 0;       ///< since the run began to render
  int step = 0;             ///< of the batch under way; told where pictures take over a second
  int steps = 0;            ///< 0: not known
  std::vector<std::int64_t> ranks{};  ///< finished by each rank in this run, where asked for
};

/// Seconds as "0:07", "12:34", "3:02:01", "4d 03h".
std::string duration_text(double seconds);

/// One line without line end, of at most `columns` characters (parts that do not fit are left out,
/// the last ones first): "12/100 pictures, 1 failed, 1.53/s, 0:58 left, step 3/50, ranks 6 6".
/// Rate and time left appear with the first picture done.
std::string progress_line(const ProgressState& state, std::size_t columns);

/// The same with a bar before it, if there are 20 columns for that: "[=====>    ] 12/100 ...".
std::string progress_bar(const ProgressState& state, std::size_t columns);

enum class ProgressMode {
  none,
  bar,    ///< one line, written over again: for a terminal
  lines,  ///< a plain line now and then: for logs
};

/// Tells the progress of a run while it goes. It has no thread and no clock of its own: it writes
/// inside the calls below, at most once in its interval. Calls may come from any thread.
class Progress {
 public:
  struct Settings {
    ProgressMode mode = ProgressMode::lines;
    std::int64_t total = 0;
    std::int64_t kept = 0;
    std::size_t columns = 80;
    double interval = 0;    ///< seconds; 0 means 0.1 for a bar, 30 for lines
    std::size_t ranks = 0;  ///< to be told apart; 0: not
  };
  using Clock = std::function<double()>;               ///< seconds since any moment, never back
  using Sink = std::function<void(std::string_view)>;  ///< takes text for standard error

  /// The run begins to render now.
  Progress(const Settings& settings, Clock clock, Sink sink);

  /// So many pictures of this run are finished, so many of them failed.
  void pictures(std::int64_t done, std::int64_t failed);

  /// So many more pictures are there from earlier runs; told with the next line.
  void add_kept(std::int64_t pictures);

  /// Rank `rank` has finished another picture; told with the next line.
  void finished_by(int rank);

  /// The batch under way is at this step; 0, 0 between batches.
  void step(int step, int steps);

  /// Wipes the bar, before something else is written to the terminal.
  void wipe();

  /// The last line, with a line end. Nothing is written afterwards.
  void finish();

 private:
  void tell(bool at_once);

  Settings settings_;
  Clock clock_;
  Sink sink_;
  std::mutex mutex_;
  ProgressState state_;
  double began_ = 0;
  double told_ = 0;
  std::size_t shown_ = 0;  ///< characters of the bar on the screen
  bool any_told_ = false;
  std::int64_t done_told_ = 0;
  bool finished_ = false;
};

}  // namespace diffuse
