#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/api/exchange.h"
#include "daemon/box/manager.h"

namespace hutch::daemon {

/// The Idempotency-Key of a call, empty for none; kInvalid for a bad one.
Result<std::string> idempotency_key(const Request& request);

/// Calls that make boxes, each done once however often it is sent: who did not hear the answer sends it again with the
/// same header Idempotency-Key, and is told of the same boxes. A key is its customer's, and good for a day. Event loop
/// thread only.
class Once {
    struct State;

  public:
    static constexpr int64_t kSeconds = 24 * 3600;
    static constexpr int64_t kMostKeys = 100'000;  ///< of one customer

    /// Reads how many keys there are. What the last daemon was making for one, and nobody was told of, is deleted as
    /// soon as the loop runs. After Manager::adopt.
    static Result<Once> load(Manager& boxes);

    /// A call under way, alone with its key until this ends. The key is free again unless keep() was called.
    class Attempt {
      public:
        Attempt() = default;  ///< of a call that is answered
        Attempt(std::shared_ptr<State> state, CreationRecord record);
        Attempt(Attempt&& other) noexcept;
        Attempt(const Attempt&) = delete;
        Attempt& operator=(Attempt&&) = delete;
        Attempt& operator=(const Attempt&) = delete;
        ~Attempt();

        /// Those that the first such call has made; empty for the first.
        std::vector<std::shared_ptr<Box>> made{};
        /// Writes the ids of the boxes that are to be made down, each as soon as there is one. Stays where it is until
        /// they are made. Without a key, only where there is `more` to be done with them before the call is answered:
        /// if the daemon ends before that, a box without its headers or its agent would be left that nobody was told
        /// of.
        void follow(std::span<CreateBox> commands, bool more);
        /// They are made: whoever comes with the key is told of them. All of them are removed on an error.
        Task<Result<void>> keep(std::vector<std::shared_ptr<Box>> boxes);

      private:
        Result<void> write_down(const std::string& id);

        std::shared_ptr<State> state_;
        CreationRecord record_;
        bool counted_ = false;  ///< it is on record
    };

    /// Waits for another call with this key. kInvalid for a bad key; kConflict where it was used for another call, or
    /// a box of it was deleted; kLimit for too many.
    Task<Result<Attempt>> attempt(Exchange& exchange, std::string_view body);

  private:
    explicit Once(std::shared_ptr<State> state) : state_(std::move(state)) {}

    std::shared_ptr<State> state_;
};

}  // namespace hutch::daemon
