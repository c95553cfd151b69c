#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "daemon/box/builder.h"
#include "daemon/box/state.h"
#include "daemon/customer_limits.h"
#include "daemon/event.h"

namespace hutch::daemon {

class Box;

/// Who is told what the init of a box says of its commands, and that it will say no more. On the event loop.
class BoxListener {
  public:
    virtual ~BoxListener() = default;
    virtual void on_message(Box& box, runtime::Message message) = 0;
    /// Its processes are about to be killed, or are gone; its control groups are still there.
    virtual void on_end(Box& box, const Error& reason) = 0;
    /// Nothing of it is left.
    virtual void on_gone(const Box& box) = 0;
};

/// One box as the event loop sees it: its record, and its life if it has one. Whoever changes it is on the event loop's
/// thread.
class Box : public std::enable_shared_from_this<Box> {
  public:
    Box(const asio::any_io_executor& executor, BoxRecord its_record, BoxListener& listener);

    BoxRecord record;
    BuildTimes times;              ///< of its last start
    std::optional<Error> failure;  ///< of the last try to start it

    [[nodiscard]] bool alive() const { return life_.has_value(); }
    [[nodiscard]] Life& life() { return *life_; }
    [[nodiscard]] const Life& life() const { return *life_; }
    [[nodiscard]] std::optional<Sleep> sleep() const { return life_ ? life_->sleep : std::nullopt; }
    [[nodiscard]] Situation situation() const;
    [[nodiscard]] Status status() const { return status_of(situation()); }
    [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }
    [[nodiscard]] uid_t uid_base() const;

    /// Takes the life and listens to its init. `ended` is called once, on the event loop, when init is gone. On
    /// failure (no descriptors left) the life is still the caller's.
    Result<void> live(Life& life, std::function<void()> ended);
    /// Gives the life up, and tells the listener `reason`. What is answered is to be let go on a worker thread: the
    /// last reference to an overlay syncs its file system. The kernel objects are kill_life()'s to remove.
    std::optional<Life> stop_living(const Error& reason);

    /// A control group below the box's, for one command. kConflict without a life: a box may have ended since the
    /// caller woke it.
    Result<cgroups::Leaf> make_leaf(const std::string& name);
    Result<cgroups::Leaf> reopen_leaf(const std::string& name);
    /// Removes it; while something that a finished command left behind still runs in it, one of the next calls does.
    void retire_leaf(cgroups::Leaf leaf);

    /// Work under way in the box, which makes it busy. Its end is activity too.
    class Work {
      public:
        explicit Work(std::shared_ptr<Box> box) : box_(std::move(box)) { ++box_->work_; }
        Work(Work&&) = default;
        Work(const Work&) = delete;
        Work& operator=(Work&&) = delete;
        Work& operator=(const Work&) = delete;
        ~Work();

      private:
        std::shared_ptr<Box> box_;
    };
    [[nodiscard]] bool busy() const { return work_ > 0; }

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
    /// Memory in use now, page cache and kernel memory too; 0 of one that does not live.
    [[nodiscard]] int64_t memory_bytes() const;
    int64_t ending_cpu_ns = 0;          ///< of a life that is over and has not joined the past yet
    Moment booked_at;                   ///< record.booked_ms by the monotonic clock
    int64_t unbooked_bytes = 0;         ///< that passed by its public URLs, are in record.past, and in no row yet
    std::optional<Moment> measured_at;  ///< when its files were last added up
    int64_t upper_bytes = 0;            ///< of what it has written, as last looked at
    uint64_t disk_limit = 0;            ///< of that, as last set; 0: not known
    int64_t layer_bytes = 0;            ///< its share of the layers that only boxes hold, as last looked at

    bool starting_up = false;          ///< its init command is under way
    std::optional<Moment> expires_at;  ///< of an ephemeral one: record.expires_at by the monotonic clock

    /// The right to change its life and its files, which one has at a time: who comes second waits until it is let go,
    /// and looks again.
    class Change {
      public:
        /// When `changing` is empty.
        explicit Change(std::shared_ptr<Box> box);
        Change(Change&&) = default;
        Change(const Change&) = delete;
        Change& operator=(Change&&) = delete;
        Change& operator=(const Change&) = delete;
        ~Change();

      private:
        std::shared_ptr<Box> box_;
    };
    std::shared_ptr<Event> changing;  ///< set when who has it lets it go
    /// Waits until nobody has it. Decide at once what to do: after the next wait somebody may.
    Task<> unchanged();
    uint64_t files_lost = 0;     ///< how often its upper was thrown away, under whoever reads it
    std::stop_source interrupt;  ///< of a copy of its files that is under way
    /// Of the life before, whose file system is let go behind: that takes the kernel as long as the box has files
    /// cached.
    UniqueFd old_root;
    bool holds_address = false;  ///< record.address is taken from the pool

    CustomerLimits::Hold place;   ///< among the boxes of its customer, until nothing of it is left
    CustomerLimits::Hold memory;  ///< of its size, while it is awake

  private:
    static Task<> listen(std::shared_ptr<Box> self, std::shared_ptr<bool> current,
                         std::shared_ptr<const UniqueFd> socket);
    static Task<> watch(std::shared_ptr<Box> self, std::shared_ptr<bool> current, std::shared_ptr<const UniqueFd> pidfd,
                        std::function<void()> ended);
    void sweep_leaves();

    asio::any_io_executor executor_;
    std::optional<Life> life_;
    Moment last_active_ = Moment::clock::now();
    size_t uses_ = 0;
    std::shared_ptr<bool> current_;  ///< false for listeners of a life that is over
    BoxListener& listener_;
    size_t work_ = 0;
    std::deque<std::string> lingering_;  ///< leaves in which something of a finished command still runs
};

}  // namespace hutch::daemon
