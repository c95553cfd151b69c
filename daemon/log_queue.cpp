#include "daemon/log_queue.h"

#include <utility>

namespace hutch::daemon {

void LogQueue::add(std::string line) {
    const std::lock_guard guard(mutex_);
    if (dropped_ > 0 || bytes_ + line.size() > most_) {  // none after one that was dropped, until that is said
        ++dropped_;
    } else {
        bytes_ += line.size();
        lines_.push_back(std::move(line));
    }
    changed_.notify_all();
}

void LogQueue::write_all(const Writer& writer) {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return !lines_.empty() || dropped_ > 0; });
        if (lines_.empty()) {
            lines_.push_back(gap_(std::exchange(dropped_, 0)));
            bytes_ += lines_.back().size();
        }
        const std::string line = std::move(lines_.front());
        lines_.pop_front();
        bytes_ -= line.size();
        writing_ = true;
        lock.unlock();
        writer(line);
        lock.lock();
        writing_ = false;
        changed_.notify_all();
    }
}

void LogQueue::flush(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return lines_.empty() && dropped_ == 0 && !writing_; });
}

}  // namespace hutch::daemon
