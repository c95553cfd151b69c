#include "daemon/run/share.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>

#include "base/undo.h"
#include "daemon/run/stream.h"

namespace hutch::daemon {

ReadingPace::Clock::duration ReadingPace::time_of(uint64_t bytes) const {
    return std::chrono::nanoseconds(
        static_cast<int64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(rate_)));
}

ReadingPace::Clock::duration ReadingPace::wait(Clock::time_point now) const {
    return std::max(spent_ - time_of(burst_) - now, Clock::duration::zero());
}

void ReadingPace::take(uint64_t bytes, Clock::time_point now) {
    spent_ = std::max(spent_, now) + time_of(bytes);
}

std::shared_ptr<ReadingTurns::Share> ReadingTurns::share(const std::string& box) {
    auto& known = shares_[box];
    auto share = known.lock();
    if (!share) known = share = std::make_shared<Share>(shared_from_this(), box);
    return share;
}

ReadingTurns::Share::~Share() {
    turns_->shares_.erase(box_);
}

// Who comes when nobody waits reads at once: most commands say little.
Task<> ReadingTurns::next(Share& share) {
    if (queue_.empty() && left_ > 0) co_return;
    Event granted(executor_);
    if (share.waiting_.empty()) queue_.push_back(&share);
    share.waiting_.push_back(&granted);
    const Undo leave([&] {
        if (std::erase(share.waiting_, &granted) > 0 && share.waiting_.empty()) std::erase(queue_, &share);
    });
    renew_soon();
    co_await granted.wait();
}

void ReadingTurns::took(size_t bytes) {
    left_ -= std::min(left_, bytes);
    renew_soon();
}

void ReadingTurns::renew_soon() {
    if (std::exchange(renewing_, true)) return;
    asio::post(executor_, [this] { renew(); });
}

void ReadingTurns::renew() {
    renewing_ = false;
    left_ = kPiece;
    if (queue_.empty()) return;
    Share& share = *queue_.front();
    queue_.pop_front();
    Event* const granted = share.waiting_.front();
    share.waiting_.pop_front();
    if (!share.waiting_.empty()) queue_.push_back(&share);
    granted->set();
    if (!queue_.empty()) renew_soon();
}

Task<> ReadingTurns::Share::turn(bool followed, Event& over) {
    using namespace asio::experimental::awaitable_operators;
    while (!followed && !over.is_set()) {
        const auto now = ReadingPace::Clock::now();
        const auto wait = std::max(pace_.wait(now), turns_->pace_.wait(now));
        if (wait == wait.zero()) break;
        asio::steady_timer timer(turns_->executor_, wait);
        co_await (timer.async_wait(kAwait) || over.wait());
    }
    co_await turns_->next(*this);
}

void ReadingTurns::Share::took(size_t bytes, bool followed) {
    turns_->took(bytes);
    if (followed) return;
    const auto now = ReadingPace::Clock::now();
    pace_.take(bytes, now);
    turns_->pace_.take(bytes, now);
}

void ReadingTurns::Share::join(Stream& stream) {
    if (!streams_.insert(&stream).second) return;
    for (Stream* const each : streams_) each->fit(room());
}

uint64_t ReadingTurns::Share::room() const {
    const uint64_t streams = std::max<uint64_t>(streams_.size(), 1);
    return std::clamp(kMostKept / streams, kLeastKept, Journal::kKept);
}

}  // namespace hutch::daemon
