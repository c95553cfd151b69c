#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "daemon/event.h"

namespace hutch::daemon {

class Stream;

/// How many bytes may be taken by when: `burst` at once, then `rate` in a second.
class ReadingPace {
  public:
    using Clock = std::chrono::steady_clock;
    ReadingPace(uint64_t burst, uint64_t rate) : burst_(burst), rate_(rate) {}

    /// How long from `now` until the next may be taken; zero: at once.
    [[nodiscard]] Clock::duration wait(Clock::time_point now) const;
    void take(uint64_t bytes, Clock::time_point now);

  private:
    [[nodiscard]] Clock::duration time_of(uint64_t bytes) const;

    uint64_t burst_;
    uint64_t rate_;
    Clock::time_point spent_{};  ///< when all that was taken is earned again
};

/// Whose turn it is to read what commands print. In one turn of the event loop at most kPiece bytes are read, of one
/// box after the other, so that a box with a hundred writers is one among the others, and requests come in between.
/// Event loop thread only.
class ReadingTurns : public std::enable_shared_from_this<ReadingTurns> {
  public:
    static constexpr size_t kPiece = 64 * 1024;
    /// Of what nobody reads along: a command that writes faster waits in its write, as with any slow reader.
    static constexpr uint64_t kBurstOfBox = 64 << 20;
    static constexpr uint64_t kRateOfBox = 16 << 20;
    static constexpr uint64_t kBurstOfAll = 512 << 20;
    static constexpr uint64_t kRateOfAll = 128 << 20;

    class Share;

    explicit ReadingTurns(asio::any_io_executor executor) : executor_(std::move(executor)) {}
    /// The share of a box, the same for all of its runs.
    std::shared_ptr<Share> share(const std::string& box);

  private:
    Task<> next(Share& share);
    void took(size_t bytes);
    void renew_soon();
    void renew();

    asio::any_io_executor executor_;
    std::map<std::string, std::weak_ptr<Share>> shares_;
    std::deque<Share*> queue_;  ///< those with somebody who waits
    size_t left_ = kPiece;      ///< in this turn of the loop
    bool renewing_ = false;
    ReadingPace pace_{kBurstOfAll, kRateOfAll};
};

/// What the living runs of one box have in common: their turns, and the room for what they say.
class ReadingTurns::Share {
  public:
    static constexpr uint64_t kMostKept = 32 << 20;    ///< of all streams together
    static constexpr uint64_t kLeastKept = 16 * 1024;  ///< of each

    Share(std::shared_ptr<ReadingTurns> turns, std::string box) : turns_(std::move(turns)), box_(std::move(box)) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share();

    /// Waits until the next piece may be read, or until the run is `over`. `followed`: by a client, who sets the pace.
    Task<> turn(bool followed, Event& over);
    void took(size_t bytes, bool followed);

    /// A stream that has said something, until it leaves.
    void join(Stream& stream);
    void leave(Stream& stream) { streams_.erase(&stream); }
    /// How much each stream may keep.
    [[nodiscard]] uint64_t room() const;

  private:
    friend class ReadingTurns;

    const std::shared_ptr<ReadingTurns> turns_;  ///< streams are let go with the event loop, which outlives Runs
    const std::string box_;
    std::deque<Event*> waiting_;
    std::set<Stream*> streams_;
    ReadingPace pace_{kBurstOfBox, kRateOfBox};
};

}  // namespace hutch::daemon
