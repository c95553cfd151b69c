#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace hutch::daemon {

/// Memory that callers fill, with a limit: whoever asks for more than there is does not take it from the daemon. Nobody
/// gets more than an eighth of what is left, so however many there are, the next one finds some. Event loop thread
/// only.
class Room {
  public:
    explicit Room(size_t most) : most_(most) {}

    /// What one call holds, until its end.
    class Share {
      public:
        Share(std::shared_ptr<Room> room, std::string who) : room_(std::move(room)), who_(std::move(who)) {}
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { room_->give(who_, held_); }

        /// False when there is no room for so many bytes more.
        [[nodiscard]] bool grow(size_t bytes) {
            if (!room_->take(who_, bytes)) return false;
            held_ += bytes;
            return true;
        }

      private:
        std::shared_ptr<Room> room_;
        std::string who_;
        size_t held_ = 0;
    };

  private:
    bool take(const std::string& who, size_t bytes) {
        const auto found = held_.find(who);
        const size_t held = (found == held_.end() ? 0 : found->second) + bytes;
        if (all_ + bytes > most_ || held > (most_ - all_ - bytes) / 8) return false;
        held_[who] = held;
        all_ += bytes;
        return true;
    }
    void give(const std::string& who, size_t bytes) {
        all_ -= bytes;
        if (bytes != 0 && (held_[who] -= bytes) == 0) held_.erase(who);
    }

    const size_t most_;
    size_t all_ = 0;
    std::map<std::string, size_t> held_;
};

}  // namespace hutch::daemon
