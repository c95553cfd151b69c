#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "daemon/event.h"
#include "daemon/run/journal.h"
#include "daemon/run/share.h"

namespace hutch::daemon {

/// Takes the next piece of output. An error means that nobody listens any more.
using Sink = std::function<Task<Result<void>>(std::string_view)>;

/// Who follows a stream: a client takes as much as it can and sets the pace; what the daemon reads for itself, or
/// nobody reads, comes at the pace of the box's share.
enum class Reader { kDaemon, kClient };

/// One stream of a run's output: from the pipe into the journal, and from there to any number of readers, each at a
/// place of its own. The command is held back while a reader is more than kLag bytes behind, or than the stream's room
/// in its box's share: that is the back pressure.
class Stream {
  public:
    static constexpr uint64_t kLag = 1 << 20;  ///< less than Journal::kWindow: who reads along misses nothing

    Stream(asio::any_io_executor executor, UniqueFd source, Journal journal);

    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// Fills the journal until the end of the source, as the box's share allows; after `exited` only with what is there
    /// then, since background processes may keep a pipe open for good.
    Task<> fill(Event& exited, std::shared_ptr<ReadingTurns::Share> share);
    /// Gives back all but the latest `room` bytes, and what a reader has still to read.
    void fit(uint64_t room);
    /// Everything from `offset` to the end into the sink, as it comes. The sink's error ends it.
    Task<Result<void>> follow(uint64_t offset, Sink sink, Reader reader = Reader::kDaemon);
    /// As much as there is now.
    Task<Result<void>> copy(uint64_t offset, Sink sink);

    [[nodiscard]] const Journal& journal() const { return journal_; }

  private:
    Task<> drain(Event& exited);
    void take_rest();
    /// False when there is nothing now; nothing at its end.
    std::optional<bool> take(size_t limit);
    [[nodiscard]] bool held_back() const;

    asio::any_io_executor executor_;
    UniqueFd source_;
    Journal journal_;
    bool closed_;
    std::shared_ptr<ReadingTurns::Share> share_;  ///< while it is filled
    std::multiset<uint64_t> readers_;             ///< where each of them is
    size_t clients_ = 0;                          ///< among them
    Signal grown_;
    Signal caught_up_;
};

}  // namespace hutch::daemon
