#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "daemon/event.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

enum class EventType {
    kBoxCreated,  ///< and ready
    kBoxStarted,  ///< with a fresh init, on the files it had
    kBoxPaused,
    kBoxResumed,
    kBoxStopped,  ///< its init has ended; the files stay
    kBoxFailed,   ///< could not be made or started
    kBoxDeleted,
    kRunStarted,
    kRunEnded,
    kImageBuilt,
    kImageRemoved,
    kGap,  ///< what happened here is not known; made for one reader, never kept
};
const char* name_of(EventType type);

struct EventRecord {
    uint64_t id = 0;      ///< one more than that of the event before; of a gap: of the last event in it
    int64_t time_ms = 0;  ///< Unix
    EventType type = EventType::kGap;
    std::string customer{};  ///< whose box; empty for what all may know
    std::string box{};       ///< its id; empty when it is not about a box
    std::string name{};      ///< of the box, or of the image
    std::string reason{};    ///< why, in a few words; may be empty
    struct Run {
        std::string id;
        std::string prompt;
        RunStatus status = RunStatus::kRunning;
        std::optional<int64_t> exit_code;
        int64_t cpu_ns = 0;
        int64_t duration_ms = 0;
    };
    std::optional<Run> run{};
    std::optional<uint64_t> lost{};  ///< of a gap: how many events; none when that is not known
};

/// The newest of what has happened, in memory. Whoever publishes never waits: a reader that is too slow for what is
/// kept is told of the gap. Event loop thread only.
class EventLog {
  public:
    static constexpr size_t kKept = 1000;
    static constexpr size_t kMostText = 256;  ///< bytes of a reason or a prompt

    /// `start` tells this daemon's events from those of another: Unix milliseconds, in practice.
    EventLog(const asio::any_io_executor& executor, int64_t start, size_t kept = kKept)
        : start_(start), most_(kept), grown_(executor), closed_(executor) {}

    // Nothing of boxes in which images are built: for callers they do not exist.
    void publish(EventType type, const BoxRecord& box, std::string reason = {});
    void publish(EventType type, const BoxRecord& box, const RunRecord& run);
    void publish(EventType type, const ImageRecord& image);

    [[nodiscard]] int64_t start() const { return start_; }
    [[nodiscard]] uint64_t newest() const { return next_ - 1; }
    [[nodiscard]] uint64_t oldest() const { return next_ - kept_.size(); }  ///< newest() + 1 when nothing is kept
    [[nodiscard]] const EventRecord& at(uint64_t id) const { return kept_[id - oldest()]; }

    /// Until the next event is published, or close() is called.
    Task<> grown() { co_await grown_.wait(); }
    /// There will be no more: lets all who follow come to an end.
    void close() {
        closed_.set();
        grown_.notify();
    }
    [[nodiscard]] bool closed() const { return closed_.is_set(); }
    Task<> closing() { co_await closed_.wait(); }

  private:
    void keep(EventRecord event);

    int64_t start_;
    size_t most_;
    uint64_t next_ = 1;
    std::deque<EventRecord> kept_;
    Signal grown_;
    Event closed_;
};

/// Where a reader is: after that event of that daemon.
struct EventPlace {
    int64_t start = 0;
    uint64_t id = 0;
};

/// One reader's way through the log.
class EventReader {
  public:
    /// Begins with the oldest that is kept, or right after a place.
    explicit EventReader(const EventLog& log, std::optional<EventPlace> after = {});
    /// The next event, or a gap where events are no longer kept, or were another daemon's; nothing when it has not
    /// happened yet.
    std::optional<EventRecord> next();

  private:
    const EventLog& log_;
    uint64_t next_;
    bool of_another_;  ///< the place it is to go on from
};

}  // namespace hutch::daemon
