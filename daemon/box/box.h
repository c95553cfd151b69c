#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "daemon/box/active_run.h"
#include "daemon/box/builder.h"
#include "daemon/box/state.h"
#include "daemon/event.h"

namespace hutch::daemon {

/// One box as the event loop sees it: its record, its life if it has one, and the runs under way. Whoever changes it
/// is on the event loop's thread.
class Box : public std::enable_shared_from_this<Box> {
  public:
    Box(const asio::any_io_executor& executor, BoxRecord its_record)
        : record(std::move(its_record)), executor_(executor) {}

    BoxRecord record;
    BuildTimes times;              ///< of its last start
    std::optional<Error> failure;  ///< of the last try to start it

    [[nodiscard]] bool alive() const { return life_.has_value(); }
    [[nodiscard]] Life& life() { return *life_; }
    [[nodiscard]] std::optional<Sleep> sleep() const { return life_ ? life_->sleep : std::nullopt; }
    [[nodiscard]] Situation situation() const;
    [[nodiscard]] Status status() const { return status_of(situation()); }
    [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }
    [[nodiscard]] uid_t uid_base() const;

    /// Takes the life and listens to its init. `ended` is called once, on the event loop, when init is gone. On
    /// failure (no descriptors left) the life is still the caller's.
    Result<void> live(Life& life, std::function<void()> ended);
    /// Gives the life up: runs under way end with `reason`. What is answered is to be let go on a worker thread: the
    /// last reference to an overlay syncs its file system. The kernel objects are end_life()'s to remove.
    std::optional<Life> stop_living(const Error& reason);

    /// A fresh leaf and a number for one command; forget() takes both back. kConflict without a life: a box may have
    /// ended since the caller woke it.
    Result<std::pair<uint64_t, std::shared_ptr<ActiveRun>>> begin_run();
    void forget_run(uint64_t id);
    [[nodiscard]] bool busy() const { return !runs_.empty(); }

    /// A request that works with the box, which thus does not fall asleep. Its coming and its end are activity.
    class Use {
      public:
        explicit Use(std::shared_ptr<Box> box);
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use();

      private:
        std::shared_ptr<Box> box_;
    };
    void touch();
    [[nodiscard]] Activity activity() const { return {last_active_, busy(), uses_ > 0}; }

    /// CPU time since the box was made, in nanoseconds.
    [[nodiscard]] int64_t cpu_ns() const;

    std::optional<Moment> expires_at;  ///< of an ephemeral one: record.expires_at by the monotonic clock

    /// Set while its life is being changed, by one at a time: who comes second waits, and looks again.
    std::shared_ptr<Event> changing;

  private:
    static Task<> listen(std::shared_ptr<Box> self, std::shared_ptr<bool> current, UniqueFd socket);
    static Task<> watch(std::shared_ptr<Box> self, std::shared_ptr<bool> current, UniqueFd pidfd,
                        std::function<void()> ended);
    void deliver(runtime::Message message);
    void sweep_leaves();

    asio::any_io_executor executor_;
    std::optional<Life> life_;
    Moment last_active_ = Moment::clock::now();
    size_t uses_ = 0;
    std::shared_ptr<bool> current_;  ///< false for listeners of a life that is over
    std::map<uint64_t, std::shared_ptr<ActiveRun>> runs_;
    std::set<std::string> lingering_;  ///< leaves in which something of a finished command still runs
};

int64_t unix_now();

}  // namespace hutch::daemon
